namespace Paddock.Crypto.Ciphers;

/// <summary>
/// The cipher of QEMU's first encrypted images (encryption method 1): AES-128 in CBC mode, whose key is the beginning of the passphrase.
/// Without a salt, a check of the passphrase or key stretching, it is kept to read old images.
/// </summary>
internal static class OldAes
{
    private const int KeyBytes = 16;

    /// <summary>The cipher of a passphrase, which cannot be checked.</summary>
    public static SectorCipher Create(ReadOnlySpan<byte> passphrase)
    {
        Span<byte> key = stackalloc byte[KeyBytes];
        key.Clear();
        passphrase[..Math.Min(KeyBytes, passphrase.Length)].CopyTo(key);
        return SectorCipher.Create(new CipherSpec(CipherAlgorithm.Aes128, SectorMode.Cbc, IvGenerator.Plain64, null), key);
    }
}
