using System.Buffers.Binary;
using System.Security.Cryptography;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>
/// The anti-forensic splitter of LUKS (LUKS on-disk format 1.2.3, section 2.4): a key is spread over many stripes, all of which are needed
/// to have it back, so that destroying any of them destroys the key.
/// </summary>
internal static class AfSplitter
{
    /// <summary>Spreads a key over stripes; all but the last are random.</summary>
    /// <param name="hash">The hash of the diffusion.</param>
    /// <param name="key">The key.</param>
    /// <param name="stripes">Receives the stripes: a multiple of the key's length.</param>
    public static void Split(HashKind hash, ReadOnlySpan<byte> key, Span<byte> stripes)
    {
        RandomNumberGenerator.Fill(stripes);
        Span<byte> sum = stackalloc byte[key.Length];
        sum.Clear();
        Mix(hash, stripes[..^key.Length], sum);
        var last = stripes[^key.Length..];
        for (int i = 0; i < last.Length; i++)
        {
            last[i] = (byte)(sum[i] ^ key[i]);
        }

        CryptographicOperations.ZeroMemory(sum);
    }

    /// <summary>Puts a key together from its stripes.</summary>
    public static void Merge(HashKind hash, ReadOnlySpan<byte> stripes, Span<byte> key)
    {
        key.Clear();
        Mix(hash, stripes[..^key.Length], key);
        Xor(stripes[^key.Length..], key);
    }

    private static void Mix(HashKind hash, ReadOnlySpan<byte> stripes, Span<byte> sum)
    {
        int size = Digest.Length(hash);
        var buffer = new byte[sizeof(int) + (2 * size)];
        using var repeated = new RepeatedHash(hash);
        for (; stripes.Length > 0; stripes = stripes[sum.Length..])
        {
            Xor(stripes[..sum.Length], sum);
            Diffuse(repeated, buffer.AsSpan(0, sizeof(int) + size), buffer.AsSpan(sizeof(int) + size), sum);
        }

        CryptographicOperations.ZeroMemory(buffer);
    }

    // each part as long as the hash is replaced with the hash of its number and itself; the last part may be shorter
    private static void Diffuse(RepeatedHash hash, Span<byte> input, Span<byte> result, Span<byte> sum)
    {
        for (int part = 0, at = 0; at < sum.Length; part++, at += result.Length)
        {
            int count = Math.Min(result.Length, sum.Length - at);
            BinaryPrimitives.WriteInt32BigEndian(input, part);
            sum.Slice(at, count).CopyTo(input[sizeof(int)..]);
            hash.Run(input[..(sizeof(int) + count)], result);
            result[..count].CopyTo(sum[at..]);
        }
    }

    private static void Xor(ReadOnlySpan<byte> from, Span<byte> into)
    {
        for (int i = 0; i < into.Length; i++)
        {
            into[i] ^= from[i];
        }
    }
}
