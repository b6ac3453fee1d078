using Paddock.Block;
using Paddock.Testing;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>How far an append comes before its process ends.</summary>
internal enum Death
{
    None,
    BeforeItBegan,
    BeforeItLanded,
    BeforeItWasAnswered,
}

/// <summary>A process that is killed while appends are under way: they get stuck where they are told to.</summary>
internal sealed class DyingProcess
{
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IBlockDevice _disk;
    private readonly Func<Task> _stored;
    private int _stuck;

    /// <param name="disk">A zoned disk.</param>
    /// <param name="stored">Called when an append was stored, before it gets stuck.</param>
    public DyingProcess(IBlockDevice disk, Func<Task> stored)
    {
        _disk = disk;
        _stored = stored;
        Device = new TestDevice(disk) { Around = RunAsync };
    }

    /// <summary>The disk as the process sees it.</summary>
    public TestDevice Device { get; }

    /// <summary>Where the next append gets stuck; called in their order.</summary>
    public Func<long, Death> Next { get; set; } = static _ => Death.None;

    /// <summary>How many appends are stuck.</summary>
    public int Stuck => Volatile.Read(ref _stuck);

    /// <summary>Releases what is stuck: its process ended long ago.</summary>
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
