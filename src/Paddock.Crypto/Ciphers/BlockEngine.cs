namespace Paddock.Crypto.Ciphers;

/// <summary>
/// A keyed block cipher over whole blocks, each for itself (ECB): what the modes are made of. May be called by several threads at once.
/// </summary>
internal abstract class BlockEngine
{
    /// <summary>Bytes in a block.</summary>
    public abstract int BlockBytes { get; }

    /// <summary>The fastest implementation of an algorithm on this machine.</summary>
    public static BlockEngine Create(CipherAlgorithm algorithm, ReadOnlySpan<byte> key)
        => algorithm > CipherAlgorithm.Aes256 ? new BouncyEngine(algorithm, key)
            : AesNiEngine.IsSupported ? new AesNiEngine(key)
            : new PlatformAesEngine(key);

    /// <summary>Encrypts whole blocks. Source and target are the same memory, or do not overlap.</summary>
    public abstract void Encrypt(ReadOnlySpan<byte> source, Span<byte> target);

    /// <summary>Decrypts whole blocks. Source and target are the same memory, or do not overlap.</summary>
    public abstract void Decrypt(ReadOnlySpan<byte> source, Span<byte> target);
}
