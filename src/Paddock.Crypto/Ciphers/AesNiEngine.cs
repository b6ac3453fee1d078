using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Paddock.Crypto.Ciphers;

/// <summary>AES by the instructions of x86 processors (FIPS 197), eight blocks at a time, so that their latencies overlap.</summary>
internal sealed class AesNiEngine : BlockEngine
{
    private const int Block = 16;
    private const int Lanes = 8;

    private readonly Vector128<byte>[] _encryption, _decryption;

    public AesNiEngine(ReadOnlySpan<byte> key)
    {
        _encryption = Expand(key);
        _decryption = Invert(_encryption);
    }

    /// <summary>Whether this processor has the instructions.</summary>
    public static bool IsSupported => Aes.IsSupported && Sse2.IsSupported && BitConverter.IsLittleEndian;

    public override int BlockBytes => Block;

    /// <summary>Round keys for encryption, in order of use.</summary>
    public ReadOnlySpan<Vector128<byte>> EncryptionKeys => _encryption;

    /// <summary>Round keys for decryption, in order of use.</summary>
    public ReadOnlySpan<Vector128<byte>> DecryptionKeys => _decryption;

    public override void Encrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run<AesEncryption>(source, target);

    public override void Decrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run<AesDecryption>(source, target);

    /// <summary>Encrypts or decrypts eight blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<T>(ReadOnlySpan<Vector128<byte>> keys, ref Eight blocks)
        where T : struct, IAesDirection
    {
        var b = blocks;
        var key = keys[0];
        var (b0, b1, b2, b3) = (b.B0 ^ key, b.B1 ^ key, b.B2 ^ key, b.B3 ^ key);
        var (b4, b5, b6, b7) = (b.B4 ^ key, b.B5 ^ key, b.B6 ^ key, b.B7 ^ key);
        for (int i = 1; i < keys.Length - 1; i++)
        {
            key = keys[i];
            b0 = T.Round(b0, key);
            b1 = T.Round(b1, key);
            b2 = T.Round(b2, key);
            b3 = T.Round(b3, key);
            b4 = T.Round(b4, key);
            b5 = T.Round(b5, key);
            b6 = T.Round(b6, key);
            b7 = T.Round(b7, key);
        }

        key = keys[^1];
        blocks = new Eight(
            T.Last(b0, key), T.Last(b1, key), T.Last(b2, key), T.Last(b3, key),
            T.Last(b4, key), T.Last(b5, key), T.Last(b6, key), T.Last(b7, key));
    }

    private static Vector128<byte> Run<T>(ReadOnlySpan<Vector128<byte>> keys, Vector128<byte> block)
        where T : struct, IAesDirection
    {
        block ^= keys[0];
        for (int i = 1; i < keys.Length - 1; i++)
        {
            block = T.Round(block, keys[i]);
        }

        return T.Last(block, keys[^1]);
    }

    private void Run<T>(ReadOnlySpan<byte> source, Span<byte> target)
        where T : struct, IAesDirection
    {
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(target);
        var keys = T.KeysOf(this);
        nuint at = 0, length = (nuint)source.Length;
        for (; at + (Lanes * Block) <= length; at += Lanes * Block)
        {
            var b = Eight.Load(ref from, at);
            Run<T>(keys, ref b);
            b.Store(ref to, at);
        }

        for (; at < length; at += Block)
        {
            Run<T>(keys, Vector128.LoadUnsafe(ref from, at)).StoreUnsafe(ref to, at);
        }
    }

    // FIPS 197, 5.2
    private static Vector128<byte>[] Expand(ReadOnlySpan<byte> key)
    {
        int count = key.Length / sizeof(uint), rounds = count + 6;
        var words = new uint[(rounds + 1) * 4];
        MemoryMarshal.Cast<byte, uint>(key).CopyTo(words);
        uint constant = 1;
        for (int i = count; i < words.Length; i++)
        {
            uint word = words[i - 1];
            if (i % count == 0)
            {
                word = uint.RotateRight(Substitute(word), 8) ^ constant;
                constant = (constant << 1) ^ (constant >= 0x80 ? 0x11bu : 0);
            }
            else if (count > 6 && i % count == 4)
            {
                word = Substitute(word);
            }

            words[i] = words[i - count] ^ word;
        }

        var keys = MemoryMarshal.Cast<uint, Vector128<byte>>(words).ToArray();
        Array.Clear(words);
        return keys;
    }

    // the key instruction applies the S-box to the second word, and to the fourth
    private static uint Substitute(uint word) => Aes.KeygenAssist(Vector128.Create(word).AsByte(), 0).AsUInt32().GetElement(0);

    // FIPS 197, 5.3.5: the equivalent inverse cipher
    private static Vector128<byte>[] Invert(Vector128<byte>[] encryption)
    {
        var keys = new Vector128<byte>[encryption.Length];
        for (int i = 0; i < keys.Length; i++)
        {
            var key = encryption[^(i + 1)];
            keys[i] = i == 0 || i == keys.Length - 1 ? key : Aes.InverseMixColumns(key);
        }

        return keys;
    }
}
