using System.Security.Cryptography;

namespace Paddock.Nvme;

/// <summary>Hashes of DH-HMAC-CHAP, by their identifiers (NVMe base 2.0, 8.13.5.2).</summary>
public enum DhChapHash : byte
{
    /// <summary>SHA-256.</summary>
    Sha256 = 1,

    /// <summary>SHA-384.</summary>
    Sha384 = 2,

    /// <summary>SHA-512.</summary>
    Sha512 = 3,
}

/// <summary>Operations of a hash.</summary>
internal static class DhChapHashes
{
    /// <summary>Bytes of the longest hash.</summary>
    public const int MaxLength = SHA512.HashSizeInBytes;

    /// <summary>Bytes of the hash.</summary>
    public static int Length(this DhChapHash hash) => hash switch
    {
        DhChapHash.Sha256 => SHA256.HashSizeInBytes,
        DhChapHash.Sha384 => SHA384.HashSizeInBytes,
        _ => SHA512.HashSizeInBytes,
    };

    /// <summary>The .NET name of the hash.</summary>
    public static HashAlgorithmName Algorithm(this DhChapHash hash) => hash switch
    {
        DhChapHash.Sha256 => HashAlgorithmName.SHA256,
        DhChapHash.Sha384 => HashAlgorithmName.SHA384,
        _ => HashAlgorithmName.SHA512,
    };
}
