using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>Waits until an image in RBD can be opened for writing, over a connection of its own.</summary>
/// <param name="target">The image.</param>
internal sealed class RbdTurn(RbdTarget target) : IAsyncDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    private RbdImage? _image;
    private RbdOwner? _owner;
    private bool _hasWaited;

    /// <summary>Who owns the image now, for messages; null if unknown, or nobody does.</summary>
    public string? Owner => Volatile.Read(ref _owner)?.ToString();

    /// <summary>Completes when the image has no owner that is alive.</summary>
    /// <exception cref="BlockException">The image does not exist, or its cluster cannot be reached.</exception>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        if (_hasWaited)
        {
            await Task.Delay(Poll, cancellationToken);
        }

        _hasWaited = true;
        _image ??= await RbdImage.OpenAsync(target, readOnly: true);
        while (await _image.FindOwnerAsync() is { } owner)
        {
            Volatile.Write(ref _owner, owner);
            await Task.Delay(Poll, cancellationToken);
        }

        Volatile.Write(ref _owner, null);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _image?.DisposeAsync() ?? default;
}
