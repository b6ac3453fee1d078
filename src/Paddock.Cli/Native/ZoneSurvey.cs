using Paddock.Block;

namespace Paddock.Cli.Native;

/// <summary>One cell of a map: a zone, or several in a row.</summary>
/// <param name="Condition">The condition that most deserves to be seen.</param>
/// <param name="Written">Bytes written in its sequential zones.</param>
/// <param name="Capacity">Bytes that can be written in its sequential zones.</param>
internal readonly record struct ZoneCell(ZoneCondition Condition, long Written, long Capacity);

/// <summary>A walk over all zones that keeps counts and cells only: a disk may have a million zones.</summary>
internal sealed class ZoneSurvey
{
    private const int Batch = 4096;
    private readonly int[] _counts = new int[16];

    private ZoneSurvey(int zonesPerCell) => ZonesPerCell = zonesPerCell;

    /// <summary>Zones that a cell stands for.</summary>
    public int ZonesPerCell { get; }

    public List<ZoneCell> Cells { get; } = [];

    public int Open => this[ZoneCondition.ImplicitlyOpen] + this[ZoneCondition.ExplicitlyOpen];

    public int Active => Open + this[ZoneCondition.Closed];

    public int this[ZoneCondition condition] => _counts[(int)condition];

    /// <summary>Counts the zones and folds them into cells.</summary>
    public static async ValueTask<ZoneSurvey> TakeAsync(IBlockDevice device, int zonesPerCell, CancellationToken cancellationToken)
    {
        var survey = new ZoneSurvey(zonesPerCell);
        var cell = default(ZoneCell);
        int inCell = 0;
        await ForEachAsync(
            device,
            (_, zone) =>
            {
                survey._counts[(int)zone.Condition]++;
                cell = inCell == 0 ? Single(zone) : Join(cell, Single(zone));
                if (++inCell == zonesPerCell)
                {
                    survey.Cells.Add(cell);
                    inCell = 0;
                }
            },
            cancellationToken);
        if (inCell > 0)
        {
            survey.Cells.Add(cell);
        }

        return survey;
    }

    /// <summary>Calls <paramref name="visit"/> with the index and description of each zone, in order.</summary>
    public static async ValueTask ForEachAsync(
        IBlockDevice device, Action<int, ZoneDescriptor> visit, CancellationToken cancellationToken)
    {
        var batch = new ZoneDescriptor[Math.Min(Batch, device.Zones!.Limits.ZoneCount)];
        for (int index = 0; index < device.Zones!.Limits.ZoneCount;)
        {
            int count = await device.Zones!.ReportAsync(index * device.Zones!.Limits.ZoneSize, batch, cancellationToken);
            for (int i = 0; i < count; i++)
            {
                visit(index + i, batch[i]);
            }

            index += Math.Max(count, 1);
        }
    }

    private static ZoneCell Single(ZoneDescriptor zone)
    {
        if (zone.Type == ZoneType.Conventional)
        {
            return new ZoneCell(zone.Condition, 0, 0);
        }

        return new ZoneCell(zone.Condition, Math.Min(zone.WritePointer - zone.Start, zone.Capacity), zone.Capacity);
    }

    private static ZoneCell Join(ZoneCell a, ZoneCell b) => new(
        ZoneNames.Rank(a.Condition) >= ZoneNames.Rank(b.Condition) ? a.Condition : b.Condition,
        a.Written + b.Written,
        a.Capacity + b.Capacity);
}
