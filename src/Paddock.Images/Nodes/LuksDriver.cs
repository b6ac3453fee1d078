using System.Security.Cryptography;
using Paddock.Block;
using Paddock.Crypto.Luks;

namespace Paddock.Images.Nodes;

/// <summary>The driver luks: a LUKS disk in its file, with its header there or in another file.</summary>
internal sealed class LuksDriver() : NodeDriver(FormatProbe.Luks, NodeKind.Format)
{
    private const string KeySecret = "key-secret", HeaderKey = "header";
    private static readonly string[] Strong = [KeySecret];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var settings = opening.Settings;
        var file = opening.RequireFile();
        var header = await opening.TryOpenChildAsync(null, HeaderKey, isProtocol: false);
        string? id = NodeOptions.Text(opening.Options.Take(KeySecret));
        NodeOpener.RefuseUnknown(this, opening.Options);
        if (id is null && settings is { ForInfo: false, Passphrase: null })
        {
            throw new ToolException("Parameter 'key-secret' is required for cipher");
        }

        IStorage storage = file.AsStorage();
        IStorage? headerStorage = header?.AsStorage();
        var passphrase = settings.ForInfo ? null
            : id is null ? settings.Passphrase : SecretObjects.Passphrase(settings.Secrets ?? settings.Objects, id);
        var volume = await LuksVolume.OpenAsync(
            new LuksArea(headerStorage ?? storage), isDetached: header is not null, cancellationToken: settings.Stop);
        var key = passphrase is { } given ? await volume.UnlockAsync(given, settings.Stop) : null;
        var device = new LuksDevice(volume, storage, headerStorage, key, settings.ReadOnly);
        CryptographicOperations.ZeroMemory(key);
        return new ImageNode
        {
            Driver = Name,
            Storage = storage,
            Protocol = file.Driver,
            Luks = device,
            Device = device,
        };
    }
}
