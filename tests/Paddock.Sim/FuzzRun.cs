using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Qcow2.Snapshots;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Opens, describes, reads, checks and sometimes writes and repairs one hostile image. It may throw only <see cref="BlockException"/>,
/// within bounded time and memory.
/// </summary>
internal sealed class FuzzRun(int seed, SimOptions options, IReadOnlyList<PagedStorage> corpus) : SimRun(seed, options)
{
    /// <summary>Maximum length of a hostile image file, in bytes.</summary>
    public const long MaxFile = 64 << 20;

    /// <summary>Maximum number of storage requests per image; exceeding it indicates a loop controlled by the image.</summary>
    public const long MaxRequests = 500_000;

    /// <summary>Maximum number of bytes that the engine may allocate per image, in total (not at once).</summary>
    private const long MaxAllocated = 256 << 20;

    private readonly byte[] _buffer = new byte[65536];
    private long _allocatedBefore;

    /// <summary>Largest number of bytes allocated on this thread for one image.</summary>
    public long Allocated { get; private set; }

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        var image = corpus[Random.Next(corpus.Count)].Clone("hostile");
        var mutator = new Mutator(Random);
        mutator.Damage(image);
        foreach (string line in mutator.Done)
        {
            Trace(line);
        }

        Dump(image, "hostile");
        _allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
        bool write = Random.Next(3) == 0;
        if (Random.Next(6) == 0)
        {
            await GuardAsync(image, "read a snapshot", () => ReadSnapshotAsync(image));
        }

        await GuardAsync(image, "use", () => UseAsync(image, write));
        var repair = Random.Next(4) switch { 0 => Qcow2Repair.All, 1 => Qcow2Repair.Leaks, _ => Qcow2Repair.None };
        if (!Options.NoCheck)
        {
            await GuardAsync(image, $"check {repair}", async () => await Qcow2Image.CheckAsync(image, repair));
        }
    }

    private async Task GuardAsync(PagedStorage image, string what, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (BlockException e)
        {
            Trace($"{what}: {e.Message}");
        }

        Allocated = GC.GetAllocatedBytesForCurrentThread() - _allocatedBefore;
        SimFailure.Unless(Allocated < MaxAllocated, $"{what} allocated {Allocated >> 20} MiB");
    }

    private async Task UseAsync(PagedStorage image, bool write)
    {
        var raw = await Qcow2Image.OpenAsync(image, Encryption.Open(new Qcow2OpenOptions
        {
            ReadOnly = !write, NoBacking = Random.Next(2) == 0, DataFileGate = new EmptyDataFile(),
        }));
        _ = raw.Info;
        _ = raw.Warnings.Count;
        IBlockDevice device = raw;
        try
        {
            await ReadAsync(device);
            if (device.Zones is not null)
            {
                await ZonesAsync(device, write);
            }

            if (write)
            {
                await WriteAsync(device);
                await SnapshotsAsync(raw.Snapshots);
                await BitmapsAsync(raw.Bitmaps);
            }
        }
        finally
        {
            await GuardAsync(image, "close", async () => await device.DisposeAsync());
        }
    }

    private async Task ReadSnapshotAsync(PagedStorage image)
    {
        var choice = new SnapshotChoice(Pick("1", "2"), null);
        var options = Encryption.Open(new Qcow2OpenOptions { ReadOnly = true, NoBacking = true, Snapshot = choice });
        await using var device = await Qcow2Image.OpenAsync(image, options);
        await ReadAsync(device);
    }

    private async Task SnapshotsAsync(IQcow2Snapshots snapshots)
    {
        if (snapshots.List is { Count: > 0 } list)
        {
            var one = list[Random.Next(list.Count)];
            await AttemptAsync(() => Random.Next(2) == 0 ? snapshots.ApplyAsync(one) : snapshots.DeleteAsync(one));
        }
        else
        {
            await AttemptAsync(async () => await snapshots.CreateAsync("new", DateTimeOffset.UnixEpoch));
        }
    }

    private async Task BitmapsAsync(IQcow2Bitmaps bitmaps)
    {
        foreach (var bitmap in bitmaps.List.Take(3))
        {
            await AttemptAsync(async () => _ = (await bitmaps.OpenAsync(bitmap.Name)).Find(0, long.MaxValue));
            await AttemptAsync(() => Random.Next(4) switch
            {
                0 => bitmaps.RemoveAsync(bitmap.Name),
                1 => bitmaps.ClearAsync(bitmap.Name),
                _ => bitmaps.SetEnabledAsync(bitmap.Name, Random.Next(2) == 0),
            });
        }
    }

    private async Task ReadAsync(IBlockDevice device)
    {
        for (int i = 0; i < 6; i++)
        {
            long at = i < 4 ? i * Math.Min(device.Length / 4, 20_000) : Random.NextInt64(device.Length + 1);
            int length = (int)Math.Min(_buffer.Length, device.Length - at) & ~511;
            at &= ~511L;
            await AttemptAsync(() => device.ReadAsync(at, _buffer.AsMemory(0, length)));
            await AttemptAsync(async () => await device.GetStatusAsync(at, device.Length - at));
        }
    }

    private async Task ZonesAsync(IBlockDevice device, bool write)
    {
        var zones = new ZoneDescriptor[64];
        int count = await device.Zones!.ReportAsync(0, zones);
        for (int i = 0; write && i < Math.Min(count, 8); i++)
        {
            var zone = zones[i];
            switch (Random.Next(6))
            {
                case 0:
                    await AttemptAsync(async () => await device.Zones!.AppendAsync(zone.Start, _buffer.AsMemory(0, 4096)));
                    break;
                case 1:
                    await AttemptAsync(() => device.WriteAsync(zone.WritePointer, _buffer.AsMemory(0, 512)));
                    break;
                case 2:
                    await AttemptAsync(() => device.WriteAsync(zone.WritePointer + (512 * Random.Next(8)), _buffer.AsMemory(0, 1024)));
                    break;
                case 3:
                    await AttemptAsync(() => device.Zones!.CommitAsync(zone.WritePointer + (512 * Random.Next(8))));
                    break;
                default:
                    var action = Pick(
                        ZoneAction.Open, ZoneAction.OpenWithRandomArea, ZoneAction.Close, ZoneAction.Finish, ZoneAction.Reset);
                    await AttemptAsync(() => device.Zones!.ManageAsync(action, zone.Start, zone.Length));
                    break;
            }
        }
    }

    private async Task WriteAsync(IBlockDevice device)
    {
        for (int i = 0; i < 5; i++)
        {
            long at = (Random.Next(2) == 0 ? Random.NextInt64(Math.Min(device.Length, 300_000) + 1)
                : Random.NextInt64(device.Length + 1)) & ~511L;
            int length = (int)Math.Min(Random.Next(1, 20) * 512, device.Length - at) & ~511;
            await AttemptAsync(() => Random.Next(4) switch
            {
                0 => device.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap),
                1 => device.DiscardAsync(at, length),
                _ => device.WriteAsync(at, _buffer.AsMemory(0, length)),
            });
        }

        await AttemptAsync(() => device.FlushAsync());
    }

    private async Task AttemptAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
        }
        catch (BlockException e)
        {
            Trace($"  {e.Message}");
        }
    }

    /// <summary>Whatever an image names, its data file is empty, and takes only so much.</summary>
    private sealed class EmptyDataFile : IDataFileGate
    {
        public ValueTask<IStorage> OpenDataFileAsync(
            string name, IStorage image, bool isReadOnly, CancellationToken cancellationToken)
            => new(new PagedStorage("data") { MaxLength = MaxFile, MaxRequests = MaxRequests });
    }
}
