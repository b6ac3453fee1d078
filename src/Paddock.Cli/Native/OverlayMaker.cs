using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>Makes drives that are overlays of the golden image.</summary>
internal sealed class OverlayMaker : IDriveMaker
{
    private readonly OverlaySource _source;

    private OverlayMaker(OverlaySource source) => _source = source;

    /// <inheritdoc/>
    public string Format => FormatProbe.Qcow2;

    /// <summary>Opens the golden image, for as long as drives are made.</summary>
    /// <exception cref="ToolException">It cannot be opened, is being written, or has a name that an overlay must not store.</exception>
    public static async ValueTask<OverlayMaker> OpenAsync(FarmGolden golden, NativeConsole console, CancellationToken cancellationToken)
    {
        if (golden.InRbd is { Options.Count: > 0 } target)
        {
            throw new ToolException(
                $"'{target.Spec}': an overlay must not name options of Ceph ({target.Options[0].Key}=); put them into a configuration "
                + "file and name it with :conf=FILE, or use --clone");
        }

        var source = await golden.OpenAsync(console, cancellationToken);
        try
        {
            await RequireUnusedAsync(source, golden.InRbd);
            return new OverlayMaker(source);
        }
        catch
        {
            await source.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask MakeAsync(string name, CancellationToken cancellationToken)
        => await _source.CreateAsync(name, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _source.DisposeAsync();

    // reading an image in RBD needs no lock, so that a writer would not be noticed
    private static async ValueTask RequireUnusedAsync(OverlaySource source, RbdTarget? target)
    {
        if (target is { Snapshot: null } && source.Storage is RbdStorage storage
            && await storage.Image.FindOwnerAsync() is { } owner)
        {
            throw new ToolException(
                $"'{target}' is in use by {owner}, and overlays need an image that does not change: stop that process, name a "
                + "snapshot (rbd:POOL/IMAGE@SNAPSHOT), or use --clone");
        }
    }
}
