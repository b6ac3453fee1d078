using Paddock.Block;
using Paddock.Testing;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Progress of an append when its process is killed.</summary>
internal enum Death
{
    None,
    BeforeItBegan,
    BeforeItLanded,
    BeforeItWasAnswered,
}

/// <summary>A process killed with appends in flight: each gets stuck at a chosen point.</summary>
internal sealed class DyingProcess
{
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IBlockDevice _disk;
    private readonly Func<Task> _stored;
    private int _stuck;

    /// <param name="disk">A zoned disk.</param>
    /// <param name="stored">Called after an append is stored and before it gets stuck.</param>
    public DyingProcess(IBlockDevice disk, Func<Task> stored)
    {
        _disk = disk;
        _stored = stored;
        Device = new TestDevice(disk) { Around = RunAsync };
    }

    /// <summary>The disk that the process uses.</summary>
    public TestDevice Device { get; }

    /// <summary>Returns where the next append to a zone gets stuck; called in the order of the appends.</summary>
    public Func<long, Death> Next { get; set; } = static _ => Death.None;

    /// <summary>Number of stuck appends.</summary>
    public int Stuck => Volatile.Read(ref _stuck);

    /// <summary>Releases the stuck appends after the end of their process.</summary>
    public void Release() => _released.TrySetResult();

    private async ValueTask RunAsync(DeviceRequest request, Func<ValueTask> run)
    {
        if (request is not { Call: DeviceCall.Append, Observer: { } observer })
        {
            await run();
            return;
        }

        var death = Next(request.Offset);
        if (death == Death.BeforeItLanded)
        {
            var zone = new ZoneDescriptor[1];
            await _disk.Zones!.ReportAsync(request.Offset, zone);
            observer.Assigned(zone[0].WritePointer);
        }
        else if (death != Death.BeforeItBegan)
        {
            await run();
            await _stored();
        }

        if (death != Death.None)
        {
            Interlocked.Increment(ref _stuck);
            await _released.Task;
        }
    }
}
