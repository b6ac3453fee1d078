using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>Whether an image was lost to another client; once it is, it stays so.</summary>
/// <param name="name">Name of the image, for messages.</param>
/// <param name="isInline">Whether those that wait continue inside <see cref="Set"/>: for a simulation, which has one thread.</param>
internal sealed class OwnershipLoss(string name, bool isInline = false)
{
    private const int Shutdown = 108;

    private readonly TaskCompletionSource _lost
        = new(isInline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _reason;

    /// <summary>Completes when ownership is lost.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Why; null while it is held.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    /// <summary>Records the loss; the first reason stays.</summary>
    /// <returns>Whether this is the first.</returns>
    public bool Set(string reason)
    {
        if (Interlocked.CompareExchange(ref _reason, reason, null) is not null)
        {
            return false;
        }

        _lost.SetResult();
        return true;
    }

    /// <summary>Fails once ownership is lost.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.NotOwner"/>.</exception>
    public void ThrowIfLost()
    {
        if (Reason is { } reason)
        {
            throw new BlockException(BlockError.NotOwner, $"'{name}' was lost to another client: {reason}") { Errno = Shutdown };
        }
    }
}
