using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Nodes;

/// <summary>The options of an encrypted qcow2 image: <c>encrypt.format</c> and <c>encrypt.key-secret</c>.</summary>
internal static class EncryptionOptions
{
    /// <summary>Applies what the list says; for the image's information alone, no passphrase is needed, and none is looked up.</summary>
    /// <exception cref="ToolException">There is no such secret.</exception>
    public static Qcow2OpenOptions Take(QDict options, OpenSettings settings, Qcow2OpenOptions open)
    {
        string? format = options.Take("encrypt.format") as string, id = options.Take("encrypt.key-secret") as string;
        return open with
        {
            ExpectedEncryption = format,
            Passphrase = id is null || settings.ForInfo ? null : SecretObjects.Passphrase(settings.Secrets ?? settings.Objects, id),
        };
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
            throw new ToolException("Parameter 'encrypt.key-secret' is required for cipher", inner: e);
        }
    }
}
