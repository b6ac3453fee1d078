using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

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
        await using var source = await OverlaySource.OpenAsync(
            new ImageOpener("paddock", console.Error), image, format, passphrase, cancellationToken);
        var made = new List<object?>();
        foreach (string name in names)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var options = await source.CreateAsync(name, cancellationToken);
            if (json)
            {
                made.Add(new JsonFields().With("name", name).With("base", options.BackingFile).With("size", options.Size)
                    .WithIf(source.Zones is not null, "zones", source.Zones ?? 0));
            }
            else
            {
                string what = source.Zones is null ? "" : $", {source.Zones} zones";
                console.Out.WriteLine(
                    $"created '{EscapedText.Escape(name)}' on '{EscapedText.Escape(image)}': {SizeText.Human(options.Size)}{what}");
            }
        }

        if (json)
        {
            console.Out.WriteLine(JsonText.Readable(made));
        }
    }
}
