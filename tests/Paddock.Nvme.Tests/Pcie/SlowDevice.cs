using Paddock.Block;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>A disk whose flushes end when the test says, and cannot be cancelled.</summary>
internal sealed class SlowDevice(IBlockDevice disk) : DelegatingDevice(disk)
{
    /// <summary>Completes when a flush has begun.</summary>
    public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends the flushes.</summary>
    public TaskCompletionSource Ends { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        Started.TrySetResult();
        await Ends.Task;
    }
}
