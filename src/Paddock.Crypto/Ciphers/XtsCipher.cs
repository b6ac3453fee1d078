using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Paddock.Crypto.Ciphers;

/// <summary>Sectors in XTS mode (IEEE 1619) over any cipher with blocks of 16 bytes.</summary>
/// <param name="data">The cipher with the first key.</param>
/// <param name="tweak">The cipher with the second key.</param>
/// <param name="iv">Makes the initialization vectors.</param>
internal sealed class XtsCipher(BlockEngine data, BlockEngine tweak, SectorIv iv) : SectorCipher
{
    public override void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
        => Run(encrypts: true, sector, source, target);

    public override void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
        => Run(encrypts: false, sector, source, target);

    private void Run(bool encrypts, long sector, ReadOnlySpan<byte> source, Span<byte> target)
    {
        Span<byte> tweaks = stackalloc byte[SectorBytes];
        for (; source.Length > 0; sector++)
        {
            WriteTweaks(sector, tweaks);
            var piece = target[..SectorBytes];
            Xor(source[..SectorBytes], tweaks, piece);
            if (encrypts)
            {
                data.Encrypt(piece, piece);
            }
            else
            {
                data.Decrypt(piece, piece);
            }

            Xor(piece, tweaks, piece);
            source = source[SectorBytes..];
            target = target[SectorBytes..];
        }
    }

    private static void Xor(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<byte> into)
    {
        for (int at = 0; at < SectorBytes; at += Vector128<byte>.Count)
        {
            (Vector128.Create(a[at..]) ^ Vector128.Create(b[at..])).CopyTo(into[at..]);
        }
    }

    private void WriteTweaks(long sector, Span<byte> tweaks)
    {
        iv.Write(sector, tweaks[..SectorIv.MaxBytes]);
        tweak.Encrypt(tweaks[..SectorIv.MaxBytes], tweaks[..SectorIv.MaxBytes]);
        var all = MemoryMarshal.Cast<byte, Vector128<byte>>(tweaks);
        for (int i = 1; i < all.Length; i++)
        {
            all[i] = XtsTweak.Next(all[i - 1]);
        }
    }
}
