using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Images.Text;
using Paddock.Posix;

namespace Paddock.Images.Nodes;

/// <summary>The driver <c>luks</c>: a LUKS disk in a file, with its header there or in another file.</summary>
internal static class LuksNode
{
    /// <summary>The driver's name.</summary>
    public const string Driver = "luks";

    /// <summary>Opens a disk.</summary>
    /// <exception cref="ToolException">An option is unknown, or there is no passphrase.</exception>
    /// <exception cref="BlockException">The header is invalid, or the passphrase is wrong.</exception>
    public static async ValueTask<ImageNode> OpenAsync(
        string path, IStorage storage, string protocol, OpenSettings settings, QDict options)
    {
        NodeOptions.TakeGeneric(options, settings);
        string? id = options.Take("key-secret") as string;
        var header = OpenHeader(options, settings);
        if (options.InOrder.FirstOrDefault().Key is { } unknown)
        {
            throw new ToolException($"Block format 'luks' does not support the option '{unknown}'");
        }

        try
        {
            if (id is null && !settings.ForInfo)
            {
                throw new ToolException("Parameter 'key-secret' is required for cipher");
            }

            var passphrase = id is null || settings.ForInfo ? null : SecretObjects.Passphrase(settings.Secrets ?? settings.Objects, id);
            var volume = await LuksVolume.OpenAsync(
                new LuksArea(header ?? storage), isDetached: header is not null, cancellationToken: settings.Stop);
            var key = passphrase is null ? null : await volume.UnlockAsync(passphrase, settings.Stop);
            var device = new LuksDevice(volume, storage, header, key, settings.ReadOnly);
            return new ImageNode
            {
                Driver = Driver,
                Filename = path,
                Storage = storage,
                Protocol = protocol,
                Luks = device,
                Device = ImageOpener.Cached(CheckedDevice.Wrap(device), settings),
            };
        }
        catch when (header is not null)
        {
            await header.DisposeAsync();
            throw;
        }
    }

    private static FileStorage? OpenHeader(QDict options, OpenSettings settings)
    {
        var header = options.TakePrefix("header");
        if (header.Count == 0)
        {
            return null;
        }

        var file = header.TakePrefix("file");
        string? name = (file.Take("filename") ?? header.Take("filename")) as string;
        if (file.Take("driver") is not (null or "file") || header.Take("driver") is not (null or "raw" or "file") || name is null)
        {
            throw new ToolException("The header of a LUKS disk is in a file: header.filename=PATH");
        }

        NodeOptions.TakeFile(file, settings);
        NodeOptions.TakeFile(header, settings);
        return (file.InOrder.FirstOrDefault().Key ?? header.InOrder.FirstOrDefault().Key) is { } unknown
            ? throw new ToolException($"Block protocol 'file' doesn't support the option '{unknown}'")
            : ImageOpener.OpenStored(ImageOpener.PathOf(name), settings.ReadOnly, settings.ForceShare, admit: settings.Admit);
    }
}
