namespace Paddock.Crypto.Ciphers;

/// <summary>Sectors in counter mode (NIST SP 800-38A, 6.5); the initialization vector is the first counter.</summary>
internal sealed class CtrCipher(BlockEngine engine, SectorIv iv) : SectorCipher
{
    public override void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target)
    {
        Span<byte> vector = stackalloc byte[SectorIv.MaxBytes], stream = stackalloc byte[SectorBytes];
        var counter = vector[..engine.BlockBytes];
        for (; source.Length > 0; sector++)
        {
            iv.Write(sector, vector);
            for (int at = 0; at < SectorBytes; at += counter.Length)
            {
                counter.CopyTo(stream[at..]);
                Increment(counter);
            }

            engine.Encrypt(stream, stream);
            for (int at = 0; at < SectorBytes; at++)
            {
                target[at] = (byte)(source[at] ^ stream[at]);
            }

            source = source[SectorBytes..];
            target = target[SectorBytes..];
        }
    }

    public override void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target) => Encrypt(sector, source, target);

    // big-endian, over the whole block
    private static void Increment(Span<byte> counter)
    {
        for (int at = counter.Length - 1; at >= 0 && ++counter[at] == 0; at--)
        {
        }
    }
}
