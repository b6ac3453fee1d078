using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>What a copy into zones will do, found out and checked before anything is changed.</summary>
internal sealed class ZonePlan
{
    private const int ReportBatch = 4096;

    private readonly IBlockDevice _target;
    private readonly CopyOptions _options;
    private int _othersActive;

    private ZonePlan(IBlockDevice target, CopyOptions options)
    {
        _target = target;
        _options = options;
    }

    /// <summary>The target's zones that the copy reaches.</summary>
    public ZoneDescriptor[] Target { get; private set; } = [];

    /// <summary>The source's zones where each has its like in the target, so that write pointers are kept; null otherwise.</summary>
    public ZoneDescriptor[]? Source { get; private set; }

    /// <summary>What the source keeps beside its write pointers; null where nothing of it is copied.</summary>
    public IZoneAttributes? SourceAttributes { get; private set; }

    /// <summary>Active resources that zones outside the copy hold.</summary>
    public int OthersActive => _othersActive;

    /// <exception cref="BlockException">The target cannot take the copy.</exception>
    public static async ValueTask<ZonePlan> MakeAsync(
        IBlockDevice source, IBlockDevice target, CopyOptions options, long length, CancellationToken cancellationToken)
    {
        var plan = new ZonePlan(target, options);
        var all = await ReportAsync(target, target.Length, cancellationToken);
        plan.Target = [.. all.TakeWhile(z => z.Start < length)];
        plan._othersActive = all.Skip(plan.Target.Length).Count(IsActive);
        if (source.Zones is not null)
        {
            await plan.CompareAsync(source, length, cancellationToken);
        }

        plan.CheckConditions();
        plan.CheckActive();
        return plan;
    }

    /// <summary>Empties the zones that the copy fills.</summary>
    public async ValueTask ResetAsync(CancellationToken cancellationToken)
    {
        for (int zone = 0; zone < Target.Length; zone++)
        {
            if (IsFixed(Target[zone].Condition))
            {
                await _target.Zones!.Attributes!.SetConditionAsync(zone, ZoneCondition.Empty, cancellationToken);
                Target[zone] = Target[zone] with { Condition = ZoneCondition.Closed };
            }
        }

        for (int zone = 0; zone < Target.Length; zone++)
        {
            int first = zone;
            while (zone < Target.Length && IsSequential(Target[zone]) && Target[zone].Condition != ZoneCondition.Empty)
            {
                zone++;
            }

            if (zone > first)
            {
                long start = Target[first].Start, end = Target[zone - 1].Start + Target[zone - 1].Length;
                await _target.Zones!.ManageAsync(ZoneAction.Reset, start, end - start, cancellationToken);
            }
        }
    }

    /// <summary>
    /// The ranges to copy, each of whole zones. Zones that end up FULL come first where active zones are limited: filling one takes an
    /// active resource for a while, and partly written zones keep theirs.
    /// </summary>
    public IReadOnlyList<(long Start, long End)> Ranges(long length)
    {
        if (Source is null)
        {
            return [(0, length)];
        }

        var ranges = new List<(long Start, long End)>();
        bool fullFirst = _target.Zones!.Limits.MaxActiveZones != 0;
        for (int pass = fullFirst ? 0 : 1; pass < 2; pass++)
        {
            foreach (var zone in Source)
            {
                bool isFull = zone.Condition == ZoneCondition.Full;
                if (zone.Condition == ZoneCondition.Offline || (fullFirst && isFull != (pass == 0)))
                {
                    continue;
                }

                long end = Math.Min(zone.Start + zone.Length, length);
                if (ranges.Count > 0 && ranges[^1].End == zone.Start)
                {
                    ranges[^1] = (ranges[^1].Start, end);
                }
                else
                {
                    ranges.Add((zone.Start, end));
                }
            }
        }

        return ranges;
    }

    /// <summary>Whether a zone has a write pointer.</summary>
    public static bool IsSequential(in ZoneDescriptor zone) => zone.Type == ZoneType.SequentialWriteRequired;

    private static bool IsActive(ZoneDescriptor zone)
        => zone.Condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen or ZoneCondition.Closed;

    private static bool IsFixed(ZoneCondition condition) => condition is ZoneCondition.ReadOnly or ZoneCondition.Offline;

    private static async ValueTask<ZoneDescriptor[]> ReportAsync(IBlockDevice device, long length, CancellationToken cancellationToken)
    {
        var zones = new List<ZoneDescriptor>();
        var batch = new ZoneDescriptor[ReportBatch];
        for (long at = 0; at < length;)
        {
            int count = await device.Zones!.ReportAsync(at, batch, cancellationToken);
            if (count == 0)
            {
                break;
            }

            zones.AddRange(batch.AsSpan(0, count));
            at = batch[count - 1].Start + batch[count - 1].Length;
        }

        return [.. zones];
    }

    private async ValueTask CompareAsync(IBlockDevice source, long length, CancellationToken cancellationToken)
    {
        var zones = await ReportAsync(source, length, cancellationToken);
        bool same = source.Zones!.Limits.ZoneSize == _target.Zones!.Limits.ZoneSize && _options.Start == 0 && zones.Length <= Target.Length;
        int alignment = Math.Max(1, _target.Limits.RequestAlignment);
        for (int i = 0; same && i < zones.Length; i++)
        {
            same = zones[i].Type == Target[i].Type && zones[i].Capacity <= Target[i].Capacity
                && (!IsActive(zones[i]) || zones[i].WritePointer % alignment == 0);
        }

        if (same)
        {
            Source = zones;
            SourceAttributes = source.Zones!.Attributes;
            WarnOfAttributes(source);
            return;
        }

        var (from, to) = (source.Zones!.Limits, _target.Zones!.Limits);
        _options.Warn?.Invoke(
            $"the zones of the source (zone size {from.ZoneSize}, capacity {from.ZoneCapacity}, {from.ConventionalZones} conventional) are "
                + "not those "
            + $"of the target (zone size {to.ZoneSize}, capacity {to.ZoneCapacity}, {to.ConventionalZones} conventional): "
            + "the data is copied, the write pointers are not");
    }

    private void WarnOfAttributes(IBlockDevice source)
    {
        int zones = Source!.Count(z => IsFixed(z.Condition));
        if (zones > 0 && _target.Zones!.Attributes is null)
        {
            _options.Warn?.Invoke($"the target has no read-only or offline zones: this condition of {zones} zones is not copied");
        }

        int extended = source.Zones!.Attributes is { } from ? Enumerable.Range(0, Source!.Length).Count(from.HasExtension) : 0;
        if (extended > 0 && _target.Zones!.Attributes?.ExtensionBytes != source.Zones!.Attributes!.ExtensionBytes)
        {
            SourceAttributes = null;
            _options.Warn?.Invoke($"the target has no room for zone descriptor extensions: those of {extended} zones are not copied");
        }
    }

    private void CheckConditions()
    {
        for (int i = 0; i < Target.Length; i++)
        {
            var wanted = Source is not null && i < Source.Length ? Source[i].Condition : ZoneCondition.Empty;
            if (IsFixed(Target[i].Condition) && (Target[i].Condition != wanted || _target.Zones!.Attributes is null))
            {
                string word = Target[i].Condition == ZoneCondition.ReadOnly ? "read-only" : "offline";
                throw new BlockException(BlockError.ReadOnly, $"zone {i} of the target is {word}: it cannot be filled");
            }

            if (wanted == ZoneCondition.Offline && _target.Zones!.Attributes is null)
            {
                throw _options.Unreadable is null
                    ? new BlockException(BlockError.Io, $"zone {i} of the source is offline: its data cannot be read")
                    : new BlockException(BlockError.Io, $"zone {i} of the source is offline, and the target has no such condition");
            }
        }
    }

    private void CheckActive()
    {
        uint most = _target.Zones!.Limits.MaxActiveZones;
        if (most == 0 || Source is null)
        {
            return;
        }

        int partly = Source.Where((z, i) => IsSequential(z) && (IsActive(z) || SourceAttributes?.HasExtension(i) == true)).Count();
        int needed = _othersActive + Math.Max(partly, Source.Any(z => z.Condition == ZoneCondition.Full) ? 1 : 0);
        if (needed > most)
        {
            throw new BlockException(
                BlockError.TooManyZones,
                $"the copy needs {needed} active zones (partly written ones), and the target takes {most}: finish or reset zones of the "
                    + "source, "
                + "or make a target with a larger max_active_zones");
        }
    }
}
