using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Paddock.Crypto.Ciphers;

/// <summary>Sectors in CBC mode (NIST SP 800-38A, 6.2).</summary>
internal sealed class CbcCipher(BlockEngine engine, SectorIv iv) : SectorCipher
{
    public override void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
    {
        Span<byte> vector = stackalloc byte[SectorIv.MaxBytes];
        Span<byte> chain = vector[..engine.BlockBytes];
        for (; source.Length > 0; sector++)
        {
            iv.Write(sector, vector);
            for (int at = 0; at < SectorBytes; at += chain.Length)
            {
                Xor(source.Slice(at, chain.Length), chain);
                engine.Encrypt(chain, chain);
                chain.CopyTo(target[at..]);
            }

            source = source[SectorBytes..];
            target = target[SectorBytes..];
        }
    }

    public override void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
    {
        // each block is combined with the cipher text before it, of which the copy is left when the target is the source
        Span<byte> before = stackalloc byte[SectorIv.MaxBytes + SectorBytes];
        int block = engine.BlockBytes;
        for (; source.Length > 0; sector++)
        {
            iv.Write(sector, before);
            source[..SectorBytes].CopyTo(before[block..]);
            engine.Decrypt(source[..SectorBytes], target[..SectorBytes]);
            Xor(before[..SectorBytes], target[..SectorBytes]);
            source = source[SectorBytes..];
            target = target[SectorBytes..];
        }
    }

    private static void Xor(ReadOnlySpan<byte> from, Span<byte> into)
    {
        if (into.Length < Vector128<byte>.Count)
        {
            var left = MemoryMarshal.Cast<byte, ulong>(into);
            left[0] ^= MemoryMarshal.Read<ulong>(from);
            return;
        }

        for (int at = 0; at < into.Length; at += Vector128<byte>.Count)
        {
            (Vector128.Create(from[at..]) ^ Vector128.Create<byte>(into[at..])).CopyTo(into[at..]);
        }
    }
}
