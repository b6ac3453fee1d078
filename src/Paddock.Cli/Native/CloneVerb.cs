using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Chains;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock clone`: creates overlays of an image, which store only changed data.</summary>
public static class CloneVerb
{
    /// <summary>Creates the overlays, one after another.</summary>
    /// <param name="image">The base, a qcow2 or raw image; it must not be written while it has overlays.</param>
    /// <param name="format">Its format; null: recognized, which only a qcow2 image allows.</param>
    /// <param name="names">The new files; they must not exist.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives a line for each overlay.</param>
    /// <param name="cancellationToken">Stops before the next overlay.</param>
    /// <param name="passphrase">Passphrase of the base, if it is encrypted; the overlays are then encrypted with it too.</param>
    /// <exception cref="ToolException">An overlay cannot be created; those before it stay.</exception>
    public static async ValueTask RunAsync(
        string image, string? format, IReadOnlyList<string> names, bool json, NativeConsole console, CancellationToken cancellationToken,
        ReadOnlyMemory<byte>? passphrase = null)
    {
        var opener = new ImageOpener("paddock", console.Error);
        var settings = new OpenSettings { Format = format, Stop = cancellationToken, Passphrase = passphrase };
        await using var node = await OpenAsync(opener, image, settings);
        if (format is null && node.Qcow2 is null)
        {
            throw new ToolException($"'{image}' was recognized as {node.Driver}; name its format with --format {node.Driver}");
        }

        var zones = await ZoneClone.OfAsync(node, cancellationToken);
        var made = new List<object?>();
        foreach (string name in names)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var options = new Qcow2CreateOptions
            {
                Size = node.Device.Length,
                ClusterSize = node.Qcow2?.Info.ClusterSize ?? new Qcow2CreateOptions().ClusterSize,
                BackingFile = NameFor(image, name),
                BackingFormat = node.Driver,
                Encryption = LikeEncryption.Of(node, passphrase),
            };
            options = zones?.Apply(options) ?? options;
            await CreateAsync(name, options, zones, cancellationToken);
            if (json)
            {
                made.Add(new JsonFields().With("name", name).With("base", options.BackingFile).With("size", options.Size)
                    .WithIf(zones is not null, "zones", zones?.Count ?? 0));
            }
            else
            {
                string what = zones is null ? "" : $", {zones.Count} zones";
                console.Out.WriteLine(
                    $"created '{EscapedText.Escape(name)}' on '{EscapedText.Escape(image)}': {SizeText.Human(options.Size)}{what}");
            }
        }

        if (json)
        {
            console.Out.WriteLine(JsonText.Readable(made));
        }
    }

    private static async ValueTask<ImageNode> OpenAsync(ImageOpener opener, string image, OpenSettings settings)
    {
        try
        {
            return await opener.OpenAsync(image, settings);
        }
        catch (ToolException e) when (e.GetBaseException() is PassphraseRequiredException required)
        {
            throw new ToolException($"'{image}': {required.Message} (--passphrase-file)");
        }
    }

    // relative to the overlay's folder where both are in it, so that they can be moved together
    private static string NameFor(string image, string name)
    {
        if (BackingName.HasProtocol(image))
        {
            return image;
        }

        string full = Path.GetFullPath(image), folder = Path.GetDirectoryName(Path.GetFullPath(name)) ?? "/";
        return Path.GetDirectoryName(full) == folder ? Path.GetFileName(full) : full;
    }

    private static async ValueTask CreateAsync(
        string name, Qcow2CreateOptions options, ZoneClone? zones, CancellationToken cancellationToken)
    {
        if (FileIdentity.IsTaken(name))
        {
            throw new ToolException($"'{name}' exists; choose another name");
        }

        var storage = NativeImage.OpenFile(new FileOpenOptions { Path = name, Create = true, Lock = ImageLock.Write });
        try
        {
            await Qcow2Image.CreateAsync(storage, options, cancellationToken);
            if (zones is not null)
            {
                await zones.FinishAsync(storage, options, cancellationToken);
            }
        }
        catch
        {
            FileNames.Delete(name);
            throw;
        }
        finally
        {
            await storage.DisposeAsync();
        }
    }
}
