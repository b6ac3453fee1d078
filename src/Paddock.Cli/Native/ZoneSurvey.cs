using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>One cell of a map: a zone, or several in a row.</summary>
/// <param name="Zones">Zones in it that the filter includes; 0: the cell is blank.</param>
/// <param name="Condition">The most important condition of these zones.</param>
/// <param name="Written">Bytes written in its sequential zones.</param>
/// <param name="Capacity">Bytes that can be written in its sequential zones.</param>
internal readonly record struct ZoneCell(int Zones, ZoneCondition Condition, long Written, long Capacity)
{
    /// <summary>A cell of one zone.</summary>
    public static ZoneCell Of(in ZoneDescriptor zone) => zone.Type == ZoneType.Conventional
        ? new ZoneCell(1, zone.Condition, 0, 0)
        : new ZoneCell(1, zone.Condition, WrittenIn(zone), zone.Capacity);

    /// <summary>Bytes up to the write pointer; of a finished zone, its capacity.</summary>
    public static long WrittenIn(in ZoneDescriptor zone) => Math.Min(zone.WritePointer - zone.Start, zone.Capacity);

    /// <summary>This cell together with another.</summary>
    public ZoneCell With(ZoneCell other) => Zones == 0 ? other : other.Zones == 0 ? this : new ZoneCell(
        Zones + other.Zones,
        ZoneNames.Rank(Condition) >= ZoneNames.Rank(other.Condition) ? Condition : other.Condition,
        Written + other.Written,
        Capacity + other.Capacity);
}

/// <summary>A walk over zones that keeps counts and cells only: a disk may have a million zones.</summary>
internal sealed class ZoneSurvey
{
    private const int Batch = 4096;
    private readonly int[] _counts = new int[16];
    private readonly ZoneCell[] _cells;

    private ZoneSurvey(int cells) => _cells = new ZoneCell[cells];

    /// <summary>The cells of the range, in order.</summary>
    public IReadOnlyList<ZoneCell> Cells => _cells;

    /// <summary>Open zones of the whole disk.</summary>
    public int Open { get; private set; }

    /// <summary>Open and closed zones of the whole disk.</summary>
    public int Active { get; private set; }

    /// <summary>Bytes written in the sequential zones that the filter includes.</summary>
    public long Written { get; private set; }

    /// <summary>Capacity of the sequential zones that the filter includes.</summary>
    public long Capacity { get; private set; }

    /// <summary>Zones in a condition, of those that the filter includes.</summary>
    public int this[ZoneCondition condition] => _counts[(int)condition];

    /// <summary>Counts the zones and joins them into cells.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="filter">The zones, with a range that the disk has.</param>
    /// <param name="zonesPerCell">Zones of a cell.</param>
    /// <param name="cancellationToken">Stops the walk.</param>
    public static async ValueTask<ZoneSurvey> TakeAsync(
        IBlockDevice device, ZoneFilter filter, int zonesPerCell, CancellationToken cancellationToken)
    {
        var survey = new ZoneSurvey((filter.Last!.Value - filter.First) / zonesPerCell + 1);
        await ForEachAsync(
            device, filter, (index, zone) => survey.Add((index - filter.First) / zonesPerCell, ZoneCell.Of(zone)), cancellationToken);
        (survey.Open, survey.Active) = await ActiveAsync(device, cancellationToken);
        return survey;
    }

    /// <summary>Number of open, and of open and closed zones of a disk.</summary>
    public static async ValueTask<(int Open, int Active)> ActiveAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        int open = await CountAsync(device, ZoneConditionSet.ImplicitlyOpen, cancellationToken)
            + await CountAsync(device, ZoneConditionSet.ExplicitlyOpen, cancellationToken);
        return (open, open + await CountAsync(device, ZoneConditionSet.Closed, cancellationToken));
    }

    /// <summary>Number of zones of a disk that have a random write area: they are open or closed.</summary>
    public static async ValueTask<int> AreasAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        int areas = 0;
        var active = ZoneFilter.All with { States = ZoneConditionSet.Open | ZoneConditionSet.Closed };
        await ForEachAsync(device, active, (_, zone) => areas += zone.HasRandomArea ? 1 : 0, cancellationToken);
        return areas;
    }

    /// <summary>Calls <paramref name="visit"/> with the index and description of each zone that a filter includes, in order.</summary>
    public static async ValueTask ForEachAsync(
        IBlockDevice device, ZoneFilter filter, Action<int, ZoneDescriptor> visit, CancellationToken cancellationToken)
    {
        var zoned = device.Zones!;
        long size = zoned.Limits.ZoneSize;
        int last = filter.Last ?? zoned.Limits.ZoneCount - 1;
        var batch = new ZoneDescriptor[Math.Min(Batch, last - filter.First + 1)];
        for (long next = filter.First; next <= last;)
        {
            int count = filter.States == ZoneConditionSet.All
                ? await zoned.ReportAsync(next * size, batch, cancellationToken)
                : (await zoned.FindAsync(next * size, filter.States, batch, count: false, cancellationToken)).Filled;
            for (int i = 0; i < count; i++)
            {
                next = batch[i].Start / size;
                if (next > last)
                {
                    return;
                }

                visit((int)next, batch[i]);
            }

            if (count == 0)
            {
                return;
            }

            next++;
        }
    }

    /// <summary>Bytes that an image takes on its file system, with its data file; null if unknown.</summary>
    public static long? SpaceOnDisk(IBlockDevice device)
    {
        if (device is not IQcow2Device { Storage.AllocatedBytes: >= 0 and var image } qcow2)
        {
            return null;
        }

        long data = qcow2.DataFile?.AllocatedBytes ?? 0;
        return data < 0 ? null : image + data;
    }

    private static async ValueTask<int> CountAsync(IBlockDevice device, ZoneConditionSet which, CancellationToken cancellationToken)
        => (await device.Zones!.FindAsync(0, which, Memory<ZoneDescriptor>.Empty, count: true, cancellationToken)).Matching;

    private void Add(int cell, ZoneCell zone)
    {
        _counts[(int)zone.Condition]++;
        Written += zone.Written;
        Capacity += zone.Capacity;
        _cells[cell] = _cells[cell].With(zone);
    }
}
