namespace Paddock.Crypto.Ciphers;

/// <summary>Names of ciphers, modes, generators and hashes: QEMU's for options and reports, and those of a LUKS header.</summary>
internal static class CipherNames
{
    private static readonly (string Name, string Family, int KeyBytes, int BlockBytes)[] Algorithms =
    [
        ("aes-128", "aes", 16, 16),
        ("aes-192", "aes", 24, 16),
        ("aes-256", "aes", 32, 16),
        ("cast5-128", "cast5", 16, 8),
        ("serpent-128", "serpent", 16, 16),
        ("serpent-192", "serpent", 24, 16),
        ("serpent-256", "serpent", 32, 16),
        ("twofish-128", "twofish", 16, 16),
        ("twofish-192", "twofish", 24, 16),
        ("twofish-256", "twofish", 32, 16),
    ];

    private static readonly string[] Modes = ["ecb", "cbc", "xts", "ctr"];
    private static readonly string[] Generators = ["plain", "plain64", "essiv"];
    private static readonly string[] Hashes = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160", "sm3"];

    /// <summary>QEMU's name: <c>aes-256</c>.</summary>
    public static string Of(CipherAlgorithm algorithm) => Algorithms[(int)algorithm].Name;

    public static string Of(SectorMode mode) => Modes[(int)mode];

    public static string Of(IvGenerator generator) => Generators[(int)generator];

    public static string Of(HashKind hash) => Hashes[(int)hash];

    /// <summary>The name in a LUKS header, which leaves the key size to another field: <c>aes</c>.</summary>
    public static string FamilyOf(CipherAlgorithm algorithm) => Algorithms[(int)algorithm].Family;

    /// <summary>Bytes in a key.</summary>
    public static int KeyBytes(CipherAlgorithm algorithm) => Algorithms[(int)algorithm].KeyBytes;

    /// <summary>Bytes in a block.</summary>
    public static int BlockBytes(CipherAlgorithm algorithm) => Algorithms[(int)algorithm].BlockBytes;

    /// <summary>The algorithm of QEMU's name; null if it is not supported.</summary>
    public static CipherAlgorithm? FindAlgorithm(string name)
        => Find<CipherAlgorithm>(Array.FindIndex(Algorithms, a => a.Name == name), static i => (CipherAlgorithm)i);

    /// <summary>The algorithm of a LUKS header's name and key size; null if it is not supported.</summary>
    public static CipherAlgorithm? FindAlgorithm(string family, int keyBytes)
        => Find<CipherAlgorithm>(
            Array.FindIndex(Algorithms, a => a.Family == family && a.KeyBytes == keyBytes), static i => (CipherAlgorithm)i);

    public static SectorMode? FindMode(string name) => Find(Array.IndexOf(Modes, name), static i => (SectorMode)i);

    public static IvGenerator? FindGenerator(string name) => Find(Array.IndexOf(Generators, name), static i => (IvGenerator)i);

    public static HashKind? FindHash(string name) => Find(Array.IndexOf(Hashes, name), static i => (HashKind)i);

    private static T? Find<T>(int index, Func<int, T> at)
        where T : struct
        => index < 0 ? null : at(index);
}
