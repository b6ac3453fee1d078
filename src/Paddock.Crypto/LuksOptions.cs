using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto;

/// <summary>How the data of a new disk are encrypted (LUKS version 1). Names are QEMU's; the defaults too.</summary>
public sealed record LuksOptions
{
    /// <summary>Names that <see cref="Cipher"/> takes.</summary>
    public static IReadOnlyList<string> Ciphers { get; } = [.. Enum.GetValues<CipherAlgorithm>().Select(CipherNames.Of)];

    /// <summary>The passphrase of the first key slot, as bytes (UTF-8).</summary>
    public required ReadOnlyMemory<byte> Passphrase { get; init; }

    /// <summary>
    /// <c>aes-128</c>, <c>aes-192</c>, <c>aes-256</c>, <c>serpent-128</c>, <c>-192</c>, <c>-256</c>, <c>twofish-128</c>, <c>-192</c>,
    /// <c>-256</c> or <c>cast5-128</c>.
    /// </summary>
    public string Cipher { get; init; } = "aes-256";

    /// <summary><c>xts</c>, <c>cbc</c>, <c>ctr</c> or <c>ecb</c>; the last two are insecure for disks.</summary>
    public string Mode { get; init; } = "xts";

    /// <summary>Generator of initialization vectors: <c>plain64</c>, <c>plain</c> (below 2 TiB) or <c>essiv</c>.</summary>
    public string IvGenerator { get; init; } = "plain64";

    /// <summary>Hash of <c>essiv</c>; null: <c>sha256</c> for <c>essiv</c>, else none.</summary>
    public string? IvHash { get; init; }

    /// <summary>
    /// Hash of keys: <c>sha1</c>, <c>sha224</c>, <c>sha256</c>, <c>sha384</c>, <c>sha512</c>, <c>ripemd160</c>, <c>sm3</c> or <c>md5</c>.
    /// </summary>
    public string Hash { get; init; } = "sha256";

    /// <summary>Time that a passphrase takes to be tried on this machine: at most an hour; at least 1,000 iterations are made.</summary>
    public TimeSpan IterationTime { get; init; } = TimeSpan.FromSeconds(2);
}
