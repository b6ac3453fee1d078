using Paddock.Block;

namespace Paddock.Crypto.Ciphers;

/// <summary>The cipher of a disk: algorithm, mode, and how the initialization vectors are made.</summary>
/// <param name="Algorithm">The block cipher.</param>
/// <param name="Mode">How it runs over a sector.</param>
/// <param name="Generator">The generator of initialization vectors.</param>
/// <param name="GeneratorHash">The hash that ESSIV needs; stored and ignored with other generators, as dm-crypt does.</param>
internal sealed record CipherSpec(CipherAlgorithm Algorithm, SectorMode Mode, IvGenerator Generator, HashKind? GeneratorHash)
{
    /// <summary>Bytes in the key of a disk: XTS has two keys.</summary>
    public int KeyBytes => CipherNames.KeyBytes(Algorithm) * (Mode == SectorMode.Xts ? 2 : 1);

    /// <summary>The mode as a LUKS header has it: <c>xts-plain64</c>, <c>cbc-essiv:sha256</c>.</summary>
    public string ModeText => CipherNames.Of(Mode) + "-" + CipherNames.Of(Generator)
        + (GeneratorHash is { } hash ? ":" + CipherNames.Of(hash) : "");

    /// <summary>Parses the names in a LUKS header.</summary>
    /// <exception cref="BlockException">A name is not supported.</exception>
    public static CipherSpec Parse(string family, string modeText, int keyBytes)
    {
        int dash = modeText.IndexOf('-', StringComparison.Ordinal);
        if (dash < 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"Unexpected cipher mode string format '{EscapedText.Escape(modeText)}'");
        }

        string generator = modeText[(dash + 1)..];
        int colon = generator.IndexOf(':', StringComparison.Ordinal);
        HashKind? ivHash = null;
        if (colon >= 0)
        {
            ivHash = Known("Hash algorithm", generator[(colon + 1)..], CipherNames.FindHash);
            generator = generator[..colon];
        }

        var mode = Known("Cipher mode", modeText[..dash], CipherNames.FindMode);
        int ownBytes = mode == SectorMode.Xts ? keyBytes / 2 : keyBytes;
        var algorithm = CipherNames.FindAlgorithm(family, ownBytes)
            ?? throw new BlockException(
                BlockError.NotSupported, $"Algorithm '{EscapedText.Escape(family)}' with key size {ownBytes} bytes not supported");
        return new CipherSpec(algorithm, mode, Known("IV generator", generator, CipherNames.FindGenerator), ivHash);
    }

    /// <summary>Rejects combinations that make no cipher.</summary>
    /// <exception cref="BlockException">The parts do not go together.</exception>
    public void Validate()
    {
        if (Mode == SectorMode.Xts && CipherNames.BlockBytes(Algorithm) != 16)
        {
            throw new BlockException(BlockError.NotSupported, "XTS mode requires a cipher with 16 byte blocks but "
                + $"{CipherNames.Of(Algorithm)} has {CipherNames.BlockBytes(Algorithm)}");
        }

        if (Generator == IvGenerator.Essiv)
        {
            _ = EssivAlgorithm();
        }
    }

    /// <summary>The cipher that encrypts sector numbers for ESSIV: of the same family, with a key as long as the hash.</summary>
    /// <exception cref="BlockException">The hash is missing, or the family has no such key size.</exception>
    public CipherAlgorithm EssivAlgorithm()
    {
        if (GeneratorHash is not { } hash)
        {
            throw new BlockException(BlockError.InvalidArgument, "Missing IV generator hash specification");
        }

        string family = CipherNames.FamilyOf(Algorithm);
        int size = Digest.Length(hash);
        if (size == CipherNames.KeyBytes(Algorithm))
        {
            return Algorithm;
        }

        return family == "cast5"
            ? throw new BlockException(BlockError.NotSupported, $"Cipher {CipherNames.Of(Algorithm)} not supported with essiv")
            : CipherNames.FindAlgorithm(family, size) ?? throw new BlockException(
                BlockError.NotSupported,
                $"No {(family == "aes" ? "AES" : family == "serpent" ? "Serpent" : "Twofish")} cipher with key size {size} available");
    }

    private static T Known<T>(string what, string name, Func<string, T?> find)
        where T : struct
        => find(name) ?? throw new BlockException(BlockError.NotSupported, $"{what} '{EscapedText.Escape(name)}' not supported");
}
