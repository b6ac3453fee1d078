namespace Paddock.Crypto.Ciphers;

/// <summary>Encrypts and decrypts sectors of a disk. May be called by several threads at once; no call allocates in steady state.</summary>
internal abstract class SectorCipher
{
    /// <summary>Bytes in a sector, each of which has its own initialization vector.</summary>
    public const int SectorBytes = 512;

    /// <summary>The cipher of a disk.</summary>
    /// <param name="spec">Algorithm, mode and initialization vectors; valid.</param>
    /// <param name="key">The key: <see cref="CipherSpec.KeyBytes"/> bytes.</param>
    public static SectorCipher Create(CipherSpec spec, ReadOnlySpan<byte> key)
    {
        var iv = new SectorIv(spec, key);
        if (spec.Mode != SectorMode.Xts)
        {
            var engine = BlockEngine.Create(spec.Algorithm, key);
            return spec.Mode switch
            {
                SectorMode.Ecb => new EcbCipher(engine),
                SectorMode.Cbc => new CbcCipher(engine, iv),
                _ => new CtrCipher(engine, iv),
            };
        }

        int half = key.Length / 2;
        var data = BlockEngine.Create(spec.Algorithm, key[..half]);
        var tweak = BlockEngine.Create(spec.Algorithm, key[half..]);
        return data is AesNiEngine aes && tweak is AesNiEngine aesTweak ? new AesNiXtsCipher(aes, aesTweak, iv)
            : new XtsCipher(data, tweak, iv);
    }

    /// <summary>Encrypts whole sectors.</summary>
    /// <param name="sector">Number of the first sector.</param>
    /// <param name="source">The plain text.</param>
    /// <param name="target">Receives the cipher text: the same memory as the source, or memory that does not overlap it.</param>
    public abstract void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target);

    /// <summary>Decrypts whole sectors.</summary>
    /// <param name="sector">Number of the first sector.</param>
    /// <param name="source">The cipher text.</param>
    /// <param name="target">Receives the plain text: the same memory as the source, or memory that does not overlap it.</param>
    public abstract void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target);
}
