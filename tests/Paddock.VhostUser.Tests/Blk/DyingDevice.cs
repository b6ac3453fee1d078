using Paddock.Block;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>How far an append comes before its process ends.</summary>
internal enum Death
{
    None,
    BeforeItBegan,
    BeforeItLanded,
    BeforeItWasAnswered,
}

/// <summary>A zoned disk in front of another, whose appends get stuck where they are told to; writes may end on other threads.</summary>
internal sealed class DyingDevice(IZonedBlockDevice inner) : IZonedBlockDevice
{
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _stuck;

    /// <summary>Where the next append gets stuck; called in their order.</summary>
    public Func<long, Death> Next { get; set; } = static _ => Death.None;

    /// <summary>Called when an append was stored, before it gets stuck.</summary>
    public Func<Task> Stored { get; set; } = static () => Task.CompletedTask;

    /// <summary>Every write ends on another thread.</summary>
    public bool Yields { get; init; }

    /// <summary>What every write fails with, on another thread.</summary>
    public Exception? Failure { get; init; }

    /// <summary>How many appends are stuck.</summary>
    public int Stuck => Volatile.Read(ref _stuck);

    /// <summary>Lets go of what is stuck: its process ended long ago, and nobody looks.</summary>
    public void Release() => _released.TrySetResult();

    public ZonedLimits Zoned => inner.Zoned;

    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public BlockLimits Limits => inner.Limits;

    public ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken)
        => inner.ReportZonesAsync(offset, zones, cancellationToken);

    public ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
        => inner.ManageZonesAsync(action, offset, length, cancellationToken);

    public ValueTask<long> AppendAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
        => inner.AppendAsync(zoneStart, data, flags, cancellationToken);

    public async ValueTask<long> AppendObservedAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver observer)
    {
        long landed = 0;
        var death = Next(zoneStart);
        if (death == Death.BeforeItLanded)
        {
            var zone = new ZoneDescriptor[1];
            await inner.ReportZonesAsync(zoneStart, zone);
            observer.Assigned(zone[0].WritePointer);
        }
        else if (death != Death.BeforeItBegan)
        {
            landed = await inner.AppendObservedAsync(zoneStart, data, flags, observer);
            await Stored();
        }

        if (death != Death.None)
        {
            Interlocked.Increment(ref _stuck);
            await _released.Task;
        }

        return landed;
    }

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => inner.ReadAsync(offset, buffer, cancellationToken);

    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (Failure is { } failure)
        {
            await Task.Yield();
            throw failure;
        }

        // the zone is the request's from the start, as with a real one
        var write = inner.WriteAsync(offset, data, flags, cancellationToken);
        if (Yields)
        {
            await Task.Yield();
        }

        await write;
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken)
        => inner.DiscardAsync(offset, length, cancellationToken);

    public ValueTask FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public ValueTask ResizeAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
        => inner.ResizeAsync(length, preallocation, cancellationToken);

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken)
        => inner.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
