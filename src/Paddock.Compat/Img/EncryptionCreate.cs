using Paddock.Crypto;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary>
/// The <c>-o</c> options of a new encrypted image: those of the format luks, and of qcow2 with <c>encrypt.</c> before them.
/// </summary>
internal static class EncryptionCreate
{
    /// <summary>What the options of qcow2 begin with.</summary>
    public const string Prefix = "encrypt.";

    private const string Format = Prefix + "format", Alias = "encryption", KeySecret = "key-secret";
    private const int DefaultIterationTime = 2000;

    private static readonly string[] QemuOnly = ["des", "3des", "sm4"];
    private static readonly string[] Details = ["cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg", "iter-time"];

    /// <summary>Options of the format luks.</summary>
    public static IReadOnlyList<FormatOption> Luks { get; } =
    [
        new("cipher-alg", OptionType.Text, "Name of encryption cipher algorithm"),
        new("cipher-mode", OptionType.Text, "Name of encryption cipher mode"),
        new("detached-header", OptionType.Flag, "Create a detached LUKS header"),
        new("hash-alg", OptionType.Text, "Name of encryption hash algorithm"),
        new("iter-time", OptionType.Number, "Time to spend in PBKDF in milliseconds"),
        new("ivgen-alg", OptionType.Text, "Name of IV generator algorithm"),
        new("ivgen-hash-alg", OptionType.Text, "Name of IV generator hash algorithm"),
        new(KeySecret, OptionType.Text, "ID of the secret that provides the keyslot passphrase"),
        new("size", OptionType.Size, "Virtual disk size"),
    ];

    /// <summary>Options of the format qcow2.</summary>
    public static IReadOnlyList<FormatOption> Qcow2 { get; } =
    [
        new(Prefix + "cipher-alg", OptionType.Text, "Name of encryption cipher algorithm"),
        new(Prefix + "cipher-mode", OptionType.Text, "Name of encryption cipher mode"),
        new(Format, OptionType.Text, "Encrypt the image, format choices: 'aes', 'luks'"),
        new(Prefix + "hash-alg", OptionType.Text, "Name of encryption hash algorithm"),
        new(Prefix + "iter-time", OptionType.Number, "Time to spend in PBKDF in milliseconds"),
        new(Prefix + "ivgen-alg", OptionType.Text, "Name of IV generator algorithm"),
        new(Prefix + "ivgen-hash-alg", OptionType.Text, "Name of IV generator hash algorithm"),
        new(Prefix + KeySecret, OptionType.Text, "ID of secret providing qcow AES key or LUKS passphrase"),
        new(Alias, OptionType.Flag, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"),
    ];

    /// <summary>Options of qcow2 in the order in which the line of a new image lists them.</summary>
    public static IReadOnlyList<string> LineOrder { get; } =
        [Alias, Format, Prefix + KeySecret, .. Details.Select(static d => Prefix + d)];

    /// <summary>Options of luks in that order, after the size.</summary>
    public static IReadOnlyList<string> LuksLineOrder { get; } = [KeySecret, .. Details, "detached-header", "preallocation"];

    /// <summary>The encryption of a qcow2 image; null: none, or the old AES.</summary>
    /// <exception cref="ToolException">An option is unexpected or missing, or has no such value.</exception>
    public static LuksOptions? ForQcow2(CreateOptions options, out bool isOldAes)
    {
        string? format = options[Format];
        isOldAes = false;
        if (options[Alias] is { } alias)
        {
            if (format is not null)
            {
                throw new ToolException("'encrypt.format' and its alias 'encryption' can't be used at the same time");
            }

            format = alias == "on" ? "aes" : null;
        }

        var given = Details.Append(KeySecret).Where(d => options[Prefix + d] is not null).ToList();
        switch (format)
        {
            case null:
                return given.Count == 0 ? null : throw new ToolException("Parameter 'encrypt.format' is missing");
            case "luks":
                return Build(options, Prefix);
            case "aes":
                if (given.Find(static d => d != KeySecret) is { } unexpected)
                {
                    throw new ToolException($"Parameter '{Prefix}{unexpected}' is unexpected");
                }

                Secret(options, Prefix);
                isOldAes = true;
                return null;
            default:
                throw new ToolException($"Parameter 'format' does not accept value '{format}'");
        }
    }

    /// <summary>A LUKS disk.</summary>
    /// <exception cref="ToolException">An option is missing, or has no such value.</exception>
    public static LuksOptions ForLuks(CreateOptions options) => Build(options, "");

    /// <summary>Options that open the image which these options made.</summary>
    public static QDict? Opening(CreateOptions options)
        => options[Prefix + KeySecret] is { } inside ? new QDict().With(Prefix + KeySecret, inside)
            : options[KeySecret] is { } own ? new QDict().With(KeySecret, own) : null;

    private static LuksOptions Build(CreateOptions options, string prefix)
    {
        string? cipher = options[prefix + "cipher-alg"];
        var defaults = new LuksOptions { Passphrase = default };
        var built = new LuksOptions
        {
            Passphrase = default,
            Cipher = cipher ?? defaults.Cipher,
            Mode = options[prefix + "cipher-mode"] ?? defaults.Mode,
            IvGenerator = options[prefix + "ivgen-alg"] ?? defaults.IvGenerator,
            IvHash = options[prefix + "ivgen-hash-alg"],
            Hash = options[prefix + "hash-alg"] ?? defaults.Hash,
            IterationTime = TimeSpan.FromMilliseconds(
                Math.Min(options.Number(prefix + "iter-time", DefaultIterationTime), int.MaxValue)),
        };
        if (cipher is not null && !LuksOptions.Ciphers.Contains(cipher) && !QemuOnly.Contains(cipher))
        {
            throw new ToolException($"Parameter 'cipher-alg' does not accept value '{cipher}'");
        }

        return built with { Passphrase = Secret(options, prefix) };
    }

    private static byte[] Secret(CreateOptions options, string prefix)
        => options[prefix + KeySecret] is { } id ? SecretObjects.Passphrase(options.Objects, id)
            : throw new ToolException($"Parameter '{prefix}{KeySecret}' is required for cipher");
}
