using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>A run whose disk changes as a whole from time to time: by a resize, or by going back to a snapshot.</summary>
internal abstract class SegmentedRun(int seed, SimOptions options) : SimRun(seed, options)
{
    protected const int Sector = SectorPattern.Sector, MaxCuts = 300;

    /// <summary>History of the disk, in parts between two changes as a whole.</summary>
    protected List<Segment> Segments { get; } = [];

    /// <summary>The current part.</summary>
    protected Segment Now => Segments[^1];

    /// <summary>What copies have moved.</summary>
    protected CopiedSectors Copied { get; } = new();

    protected CrashPair Disks { get; set; } = null!;

    protected CheckedDevice Device { get; set; } = null!;

    /// <summary>Requests of the run; begins with the disks.</summary>
    protected Timeline Timeline { get; set; } = null!;

    /// <summary>Creates the disks, and begins the history with the contents of the image.</summary>
    protected async Task BeginAsync(ImageRecipe recipe)
    {
        Trace(recipe.ToString());
        var built = await recipe.BuildAsync();
        Disks = new CrashPair(built, (PagedStorage?)recipe.Data.Of(built));
        recipe.Data.Set(Disks.Image, Disks.Data);
        Timeline = new Timeline(() => Disks.Position);
        Segments.Add(new Segment(new SectorHistory(recipe.Start), 0));
        Device = await recipe.OpenAsync(Disks.Image);
    }

    /// <summary>Random sectors of the disk.</summary>
    protected (long Offset, int Length) Range()
    {
        int sectors = Now.History.Sectors;
        int first = Random.Next(sectors), count = Math.Min(1 + Random.Next(Random.Next(3) == 0 ? 200 : 12), sectors - first);
        return ((long)first * Sector, count * Sector);
    }

    protected Task WriteAsync(long offset, int length, uint version)
    {
        Trace($"write {offset} {length} version {version} at log {Disks.Position}");
        return ChangeAsync(offset, length, version, () => Device.WriteAsync(offset, SectorPattern.Make(offset, length, version)));
    }

    protected Task ZeroAsync(long offset, int length)
    {
        var flags = Pick(ZeroFlags.None, ZeroFlags.MayUnmap);
        Trace($"zero {offset} {length} {flags} at log {Disks.Position}");
        return ChangeAsync(offset, length, 0, () => Device.WriteZeroesAsync(offset, length, flags));
    }

    protected async Task CopyAsync(long offset, int length, int cluster)
    {
        int count = length / Sector, target = (int)(offset / Sector);
        int source = PickSource(target, count, Now.History.Sectors, cluster);
        if (Now.History.HasUnreadable(source, count))
        {
            return;
        }

        Trace($"copy {(long)source * Sector} to {offset} {length} at log {Disks.Position}");
        var op = Timeline.Begin();
        var versions = Now.History.Copy(op, source, target, count, Copied);
        await Device.RangeCopy!.CopyAsync((long)source * Sector, offset, length);
        Timeline.Acknowledge(op);
        Now.History.Acknowledged(target, versions);
    }

    protected async Task MarkAsync(long offset, int length)
    {
        if (Device.UnreadableRanges is { } ranges)
        {
            Trace($"unreadable {offset} {length} at log {Disks.Position}");
            var op = Timeline.Begin(fua: true);
            Now.History.Write(op, offset, length, SectorPattern.Unreadable);
            await ranges.AddAsync(offset, length);
            Timeline.Acknowledge(op);
            Now.History.Acknowledged(offset, length, SectorPattern.Unreadable);
        }
    }

    /// <summary>Runs a request that makes everything before it durable.</summary>
    protected async Task FlushAsync(Func<ValueTask> request)
    {
        var flush = Timeline.BeginFlush();
        await request();
        Timeline.Acknowledge(flush);
    }

    protected Task CloseAsync() => FlushAsync(() => Device.DisposeAsync());

    /// <summary>Calls back with each sector and the version of its contents.</summary>
    protected async Task ScanAsync(IBlockDevice device, Action<long, long> check)
    {
        long sector = 0;
        foreach (long version in await Copied.ReadAsync(device, 0, (int)device.Length))
        {
            check(sector++, version);
        }
    }

    private async Task ChangeAsync(long offset, int length, uint version, Func<ValueTask> request)
    {
        var op = Timeline.Begin();
        Now.History.Write(op, offset, length, version);
        await request();
        Timeline.Acknowledge(op);
        Now.History.Acknowledged(offset, length, version);
    }

    /// <summary>Events between two changes of the whole disk.</summary>
    /// <param name="history">History of the sectors.</param>
    /// <param name="from">Log length at the end of the first change.</param>
    protected sealed class Segment(SectorHistory history, int from)
    {
        public SectorHistory History => history;

        public int From => from;

        /// <summary>Log length at the start of the next change.</summary>
        public int Until { get; set; } = int.MaxValue;

        /// <summary>Contents after the next change; null: not recorded.</summary>
        public uint[]? Next { get; set; }
    }
}
