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
internal sealed class DyingDevice(IBlockDevice inner) : DelegatingDevice(inner)
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

    public override IZones? Zones => field ??= new DyingZones(this, Inner.Zones!);

    /// <summary>Lets go of what is stuck: its process ended long ago, and nobody looks.</summary>
    public void Release() => _released.TrySetResult();

    public override async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (Failure is { } failure)
        {
            await Task.Yield();
            throw failure;
        }

        // the zone is the request's from the start, as with a real one
        var write = Inner.WriteAsync(offset, data, flags, cancellationToken);
        if (Yields)
        {
            await Task.Yield();
        }

        await write;
    }

    private sealed class DyingZones(DyingDevice device, IZones zones) : DelegatingZones(zones)
    {
        public override async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver? observer, CancellationToken cancellationToken)
        {
            long landed = 0;
            var death = observer is null ? Death.None : device.Next(zoneStart);
            if (death == Death.BeforeItLanded)
            {
                var zone = new ZoneDescriptor[1];
                await Inner.ReportAsync(zoneStart, zone, cancellationToken);
                observer!.Assigned(zone[0].WritePointer);
            }
            else if (death != Death.BeforeItBegan)
            {
                landed = await Inner.AppendAsync(zoneStart, data, flags, observer, cancellationToken);
                if (observer is not null)
                {
                    await device.Stored();
                }
            }

            if (death != Death.None)
            {
                Interlocked.Increment(ref device._stuck);
                await device._released.Task;
            }

            return landed;
        }
    }
}
