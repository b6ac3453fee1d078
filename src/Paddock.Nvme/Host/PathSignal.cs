namespace Paddock.Nvme.Host;

/// <summary>Notifies any number of waiters that a path has changed.</summary>
internal sealed class PathSignal
{
    private TaskCompletionSource _next = Create();

    /// <summary>Completes at the next change. Take it before looking at the paths: then no change is missed.</summary>
    public Task Next => Volatile.Read(ref _next).Task;

    /// <summary>Completes <see cref="Next"/>.</summary>
    public void Notify() => Interlocked.Exchange(ref _next, Create()).TrySetResult();

    private static TaskCompletionSource Create() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
