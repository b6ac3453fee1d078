using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Crypto.Ciphers;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>How a disk is encrypted, and the cipher if its key is known.</summary>
internal sealed class DiskEncryption
{
    private DiskEncryption(LuksVolume? luks, LuksArea? area, DataCipher cipher) => (Luks, Area, Cipher) = (luks, area, cipher);

    /// <summary>The LUKS header; null with the old AES encryption.</summary>
    public LuksVolume? Luks { get; }

    /// <summary>Where the LUKS header and its key material are.</summary>
    public LuksArea? Area { get; }

    /// <summary>The cipher of the data.</summary>
    public DataCipher Cipher { get; }

    /// <summary>Opens the encryption of an image.</summary>
    /// <returns>Null if the disk is not encrypted.</returns>
    /// <exception cref="PassphraseRequiredException">The image is encrypted, and no passphrase is given.</exception>
    /// <exception cref="BlockException">The encryption header is invalid, or the passphrase is wrong.</exception>
    public static async ValueTask<DiskEncryption?> OpenAsync(
        IStorage storage, LoadedHeader loaded, Qcow2OpenOptions options, CancellationToken cancellationToken)
    {
        uint method = loaded.Fields.EncryptionMethod;
        var extension = loaded.Extensions.Find(static e => e.Type == HeaderExtension.FullDiskEncryption);
        if (method != Qcow2Header.EncryptionLuks && extension is not null)
        {
            throw new BlockException(
                BlockError.InvalidArgument, "CRYPTO header extension only expected with LUKS encryption method");
        }

        CheckExpected(method, options.ExpectedEncryption);
        if (method == 0)
        {
            return null;
        }

        if (options is { ForInfo: false, Passphrase: null })
        {
            throw new PassphraseRequiredException(loaded.Fields.EncryptionName!);
        }

        if (method == Qcow2Header.EncryptionAes)
        {
            return new(null, null, new DataCipher(options.Passphrase is { } key ? OldAes.Create(key.Span) : null, byGuestOffset: true));
        }

        var area = new EncryptionHeader(extension, loaded.Fields.Geometry.ClusterSize).In(storage);
        var volume = await LuksVolume.OpenAsync(area, maxWork: options.MaxKeyWork, cancellationToken: cancellationToken);
        var cipher = options.Passphrase is { } passphrase ? await UnlockAsync(volume, passphrase, cancellationToken) : null;
        return new(volume, area, new DataCipher(cipher, byGuestOffset: false));
    }

    private static async ValueTask<SectorCipher> UnlockAsync(
        LuksVolume volume, ReadOnlyMemory<byte> passphrase, CancellationToken cancellationToken)
    {
        var key = await volume.UnlockAsync(passphrase, cancellationToken);
        var cipher = SectorCipher.Create(volume.Header.Cipher, key);
        CryptographicOperations.ZeroMemory(key);
        return cipher;
    }

    private static void CheckExpected(uint method, string? expected)
    {
        string? actual = method switch { 0 => null, Qcow2Header.EncryptionAes => "aes", _ => "luks" };
        if (expected is not null && expected != actual)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                actual is null ? $"No encryption in image header, but options specified format '{EscapedText.Escape(expected)}'"
                    : $"Header reported '{actual}' encryption format but options specify '{EscapedText.Escape(expected)}'");
        }
    }
}
