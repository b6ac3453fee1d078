using Paddock.Block;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>A disk whose flushes end when the test says, and cannot be cancelled.</summary>
internal sealed class SlowDevice(IBlockDevice disk) : DelegatingDevice(disk)
{
    private int _flushes;

    /// <summary>Completes when a flush has begun.</summary>
    public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends the flushes.</summary>
    public TaskCompletionSource Ends { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Number of flushes that have begun.</summary>
    public int Flushes => Volatile.Read(ref _flushes);

    public override async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _flushes);
        Started.TrySetResult();
        await Ends.Task;
    }
}
