namespace Paddock.Rbd;

/// <summary>Whether an image was lost to another client; once it is, it stays so.</summary>
internal sealed class OwnershipLoss
{
    private readonly TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _reason;

    /// <summary>Completes when ownership is lost.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Why; null while it is held.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    /// <summary>Records the loss; the first reason stays.</summary>
    public void Set(string reason)
    {
        if (Interlocked.CompareExchange(ref _reason, reason, null) is null)
        {
            _lost.SetResult();
        }
    }
}
