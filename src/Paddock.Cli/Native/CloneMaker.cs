using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Rbd;

namespace Paddock.Cli.Native;

/// <summary>Makes drives that are clones of the golden image in RBD: the cluster keeps what they share.</summary>
internal sealed class CloneMaker : IDriveMaker
{
    private readonly RbdCloneSource _source;

    private CloneMaker(RbdCloneSource source, string format) => (_source, Format) = (source, format);

    /// <inheritdoc/>
    public string Format { get; }

    /// <summary>Checks the golden image, and takes a snapshot of it unless it is one.</summary>
    /// <exception cref="ToolException">It cannot be opened, or its format must be named.</exception>
    public static async ValueTask<CloneMaker> OpenAsync(FarmGolden golden, NativeConsole console, CancellationToken cancellationToken)
    {
        var target = golden.InRbd ?? throw new ToolException(
            $"--clone requires an image in RBD (rbd:POOL/IMAGE): '{golden.Name}' is a file, which 'paddock img convert' copies there",
            NativeExit.Usage);
        await using var opened = await golden.OpenAsync(console, cancellationToken);
        return new CloneMaker(await RbdCloneSource.OpenAsync(target with { SharesConnection = true }), opened.Format);
    }

    /// <inheritdoc/>
    public async ValueTask MakeAsync(string name, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            await _source.CreateAsync(RbdDriver.Parse(name) with { SharesConnection = true });
        }
        catch (BlockException e) when (e.Error == BlockError.AlreadyExists)
        {
            throw new ToolException($"'{name}' exists; choose another name", inner: e);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _source.DisposeAsync();
}
