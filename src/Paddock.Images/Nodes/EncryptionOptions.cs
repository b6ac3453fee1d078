using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>The options of an encrypted qcow2 image: <c>encrypt.format</c> and <c>encrypt.key-secret</c>.</summary>
internal static class EncryptionOptions
{
    /// <summary>What the options begin with.</summary>
    public const string Prefix = "encrypt.";

    private const string Format = Prefix + "format", KeySecret = Prefix + "key-secret";

    /// <summary>
    /// Takes what the list says into options of the engine. For an image's information no passphrase is needed, and none is looked up.
    /// </summary>
    /// <exception cref="ToolException">There is no such secret.</exception>
    public static Qcow2OpenOptions Take(QDict options, OpenSettings settings)
    {
        string? format = NodeOptions.Text(options.Take(Format)), id = NodeOptions.Text(options.Take(KeySecret));
        var open = new Qcow2OpenOptions { ExpectedEncryption = format, Passphrase = settings.ForInfo ? null : settings.Passphrase };
        return id is null || settings.ForInfo ? open
            : open with { Passphrase = SecretObjects.Passphrase(settings.Secrets ?? settings.Objects, id) };
    }

    /// <summary>Opens an image; a missing passphrase is reported by the option that names it.</summary>
    public static async ValueTask<IQcow2Device> OpenAsync(IStorage storage, Qcow2OpenOptions options, CancellationToken stop)
    {
        try
        {
            return await Qcow2Image.OpenAsync(storage, options, stop);
        }
        catch (PassphraseRequiredException e)
        {
            throw new ToolException($"Parameter '{KeySecret}' is required for cipher", inner: e);
        }
    }
}
