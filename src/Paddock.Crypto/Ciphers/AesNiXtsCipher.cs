using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Paddock.Crypto.Ciphers;

/// <summary>Sectors in AES-XTS by the processor's AES instructions, in one pass over the data: the default cipher of LUKS.</summary>
/// <param name="data">AES with the first key.</param>
/// <param name="tweak">AES with the second key.</param>
/// <param name="iv">Makes the initialization vectors.</param>
internal sealed class AesNiXtsCipher(AesNiEngine data, AesNiEngine tweak, SectorIv iv) : SectorCipher
{
    /// <summary>Sectors whose first tweaks are encrypted together.</summary>
    private const int TweakBatch = 8;

    /// <summary>Bytes that are encrypted together.</summary>
    private const int Step = 8 * 16;

    public override void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
        => Run<AesEncryption>(sector, source, target);

    public override void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
        => Run<AesDecryption>(sector, source, target);

    private void Run<T>(long sector, ReadOnlySpan<byte> source, Span<byte> target)
        where T : struct, IAesDirection
    {
        Span<byte> tweaks = stackalloc byte[TweakBatch * SectorIv.MaxBytes];
        for (int at = 0; at < source.Length;)
        {
            int sectors = WriteTweaks(sector, source.Length - at, tweaks);
            for (int i = 0; i < sectors; i++, at += SectorBytes)
            {
                var first = Vector128.Create<byte>(tweaks[(i * SectorIv.MaxBytes)..]);
                RunSector<T>(first, source.Slice(at, SectorBytes), target.Slice(at, SectorBytes));
            }

            sector += sectors;
        }
    }

    private void RunSector<T>(Vector128<byte> first, ReadOnlySpan<byte> source, Span<byte> target)
        where T : struct, IAesDirection
    {
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(target);
        var keys = T.KeysOf(data);
        for (nuint at = 0; at < SectorBytes; at += Step)
        {
            var tweaks = XtsTweak.NextEight(ref first);
            var blocks = Eight.Load(ref from, at) ^ tweaks;
            AesNiEngine.Run<T>(keys, ref blocks);
            (blocks ^ tweaks).Store(ref to, at);
        }
    }

    /// <summary>Writes the first tweaks of the next sectors.</summary>
    /// <returns>Number of sectors.</returns>
    private int WriteTweaks(long sector, int length, Span<byte> tweaks)
    {
        int sectors = Math.Min(TweakBatch, length / SectorBytes);
        for (int i = 0; i < sectors; i++)
        {
            iv.Write(sector + i, tweaks.Slice(i * SectorIv.MaxBytes, SectorIv.MaxBytes));
        }

        var used = tweaks[..(sectors * SectorIv.MaxBytes)];
        tweak.Encrypt(used, used);
        return sectors;
    }
}
