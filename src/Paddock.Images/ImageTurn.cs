using Paddock.Block;
using Paddock.Images.Nodes;
using Paddock.Posix;
using Paddock.Rbd;

namespace Paddock.Images;

/// <summary>
/// Waits until an image can be opened for writing: for the end of its current owner, which may run on another machine. It never opens the
/// image for writing itself, and of several that wait, each may be told: opening then fails with <see cref="BlockError.Busy"/> for all
/// but one, which wait again.
/// </summary>
internal sealed class ImageTurn : IAsyncDisposable
{
    private static readonly TimeSpan FilePoll = TimeSpan.FromMilliseconds(50), UnknownPoll = TimeSpan.FromSeconds(1);

    private readonly string? _file;
    private readonly RbdTurn? _rbd;
    private bool _hasWaited;

    private ImageTurn(string? file, RbdTurn? rbd) => (_file, _rbd) = (file, rbd);

    /// <summary>Who owns the image now, for messages: a client of a cluster with its address; null if unknown, or nobody does.</summary>
    public string? Owner => _rbd?.Owner;

    /// <summary>Prepares to wait; nothing is opened yet.</summary>
    /// <param name="name">The image: a file name, or a name in a cluster (<c>rbd:</c>). Others are free at any time.</param>
    /// <param name="observer">Receives the signs of a dead owner; null: nobody.</param>
    /// <exception cref="ToolException">The name is malformed.</exception>
    public static ImageTurn Of(string name, ISuccessionObserver? observer = null)
        => RbdTarget.IsName(name) ? new ImageTurn(null, new RbdTurn(RbdDriver.Parse(name), observer))
            : name.StartsWith("json:", StringComparison.Ordinal) || NodeDrivers.OfName(name) is not FileDriver ? new ImageTurn(null, null)
            : new ImageTurn(ImageOpener.PathOf(name), null);

    /// <summary>
    /// Completes when opening the image for writing is worthwhile: nobody owns it, or its owner was dead and has been fenced, so that
    /// nothing it has sent can arrive any more. For a file: no lock excludes a writer, or it cannot be opened, which opening it reports.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        if (_rbd is not null)
        {
            await _rbd.WaitAsync(cancellationToken);
            return;
        }

        // a caller whose opening has failed comes back at once
        if (_hasWaited)
        {
            await Task.Delay(_file is null ? UnknownPoll : FilePoll, cancellationToken);
        }

        _hasWaited = true;
        while (_file is not null && OperatingSystem.IsLinux() && !OfdLocks.IsFree(_file))
        {
            await Task.Delay(FilePoll, cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _rbd?.DisposeAsync() ?? default;
}
