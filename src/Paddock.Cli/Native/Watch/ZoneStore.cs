using Paddock.Block;
using Paddock.Images;

namespace Paddock.Cli.Native.Watch;

/// <summary>Counts of requests to a zone, since recording began.</summary>
/// <param name="Writes">Writes and appends.</param>
/// <param name="Resets">Resets.</param>
/// <param name="Reads">Reads.</param>
internal readonly record struct ZoneCounts(long Writes, long Resets, long Reads);

/// <summary>The zones of a watched disk, in columns: about 45 bytes for each of a million zones.</summary>
internal sealed class ZoneStore
{
    /// <summary>Most zones of a watched disk.</summary>
    public const int MaxZones = 16 << 20;

    private readonly int[] _inCondition = new int[16];
    private readonly HashSet<int> _active = [];
    private ZoneCondition[] _conditions = [];
    private long[] _written = [], _changed = [];
    private ZoneCounts[] _counts = [];

    public ZoneStore(ZonedLimits limits, long diskLength) => Resize(limits, diskLength);

    /// <exception cref="ToolException">Too many zones.</exception>
    private static ZonedLimits Checked(ZonedLimits limits) => limits.ZoneCount <= MaxZones ? limits
        : throw new ToolException($"the disk has {limits.ZoneCount} zones; --watch shows at most {MaxZones}");

    private ZoneStore(ZoneStore from)
    {
        (Limits, DiskLength, WrittenBytes) = (from.Limits, from.DiskLength, from.WrittenBytes);
        _inCondition = [.. from._inCondition];
        _active = [.. from._active];
        _conditions = [.. from._conditions];
        _written = [.. from._written];
        _changed = [.. from._changed];
        _counts = [.. from._counts];
    }

    /// <summary>Geometry and limits.</summary>
    public ZonedLimits Limits { get; private set; }

    /// <summary>Size of the disk in bytes.</summary>
    public long DiskLength { get; private set; }

    /// <summary>Number of zones.</summary>
    public int Count => _conditions.Length;

    /// <summary>Zones that are open or closed.</summary>
    public IReadOnlyCollection<int> Active => _active;

    /// <summary>Bytes written in all sequential zones.</summary>
    public long WrittenBytes { get; private set; }

    /// <summary>Capacity of all sequential zones.</summary>
    public long CapacityBytes => (Math.Max(0, Count - Limits.ConventionalZones - 1) * Limits.ZoneCapacity)
        + (Count > Limits.ConventionalZones ? CapacityOf(Count - 1) : 0);

    /// <summary>Number of open zones.</summary>
    public int Open => this[ZoneCondition.ImplicitlyOpen] + this[ZoneCondition.ExplicitlyOpen];

    /// <summary>Number of zones in a condition.</summary>
    public int this[ZoneCondition condition] => _inCondition[(int)condition];

    /// <summary>Changes the number of zones; new ones are empty, or conventional.</summary>
    public void Resize(ZonedLimits limits, long diskLength)
    {
        for (int zone = limits.ZoneCount; zone < Count; zone++)
        {
            Leave(zone);
        }

        int before = Math.Min(Count, limits.ZoneCount);
        (Limits, DiskLength) = (Checked(limits), diskLength);
        Array.Resize(ref _conditions, limits.ZoneCount);
        Array.Resize(ref _written, limits.ZoneCount);
        Array.Resize(ref _changed, limits.ZoneCount);
        Array.Resize(ref _counts, limits.ZoneCount);
        for (int zone = before; zone < Count; zone++)
        {
            _conditions[zone] = zone < limits.ConventionalZones ? ZoneCondition.NotWritePointer : ZoneCondition.Empty;
            _changed[zone] = long.MinValue;
            _inCondition[(int)_conditions[zone]]++;
        }
    }

    /// <summary>Condition of a zone.</summary>
    public ZoneCondition ConditionOf(int zone) => _conditions[zone];

    /// <summary>Bytes written in a zone; 0 for a conventional one.</summary>
    public long WrittenIn(int zone) => _written[zone];

    /// <summary>Capacity of a zone.</summary>
    public long CapacityOf(int zone) => Math.Min(Limits.ZoneCapacity, DiskLength - (zone * Limits.ZoneSize));

    /// <summary>When a zone changed last, in milliseconds of the caller's clock; the smallest number: never.</summary>
    public long ChangedAt(int zone) => _changed[zone];

    /// <summary>Requests to a zone.</summary>
    public ZoneCounts CountsOf(int zone) => _counts[zone];

    /// <summary>The cell of a zone.</summary>
    public ZoneCell CellOf(int zone) => _conditions[zone] == ZoneCondition.NotWritePointer
        ? new ZoneCell(1, _conditions[zone], 0, 0) : new ZoneCell(1, _conditions[zone], _written[zone], CapacityOf(zone));

    /// <summary>Sets the state of a zone.</summary>
    /// <param name="zone">Index; one that does not exist is ignored, since a disk may shrink.</param>
    /// <param name="condition">Condition.</param>
    /// <param name="written">Bytes up to the write pointer.</param>
    /// <param name="counts">Requests; null: unknown.</param>
    /// <param name="now">Time, in milliseconds; null: the first look, which is no change.</param>
    /// <returns>Whether something changed.</returns>
    public bool Set(int zone, ZoneCondition condition, long written, ZoneCounts? counts, long? now)
    {
        if ((uint)zone >= (uint)Count || (uint)condition > 15)
        {
            return false;
        }

        written = condition == ZoneCondition.NotWritePointer ? 0 : Math.Clamp(written, 0, CapacityOf(zone));
        bool changed = condition != _conditions[zone] || written != _written[zone] || (counts is { } c && c != _counts[zone]);
        if (changed)
        {
            Leave(zone);
            _conditions[zone] = condition;
            _written[zone] = written;
            _counts[zone] = counts ?? _counts[zone];
            _changed[zone] = now ?? _changed[zone];
            _inCondition[(int)condition]++;
            WrittenBytes += written;
            if (ZoneNames.IsActive(condition))
            {
                _active.Add(zone);
            }
        }

        return changed;
    }

    /// <summary>A copy that does not change any more.</summary>
    public ZoneStore Clone() => new(this);

    private void Leave(int zone)
    {
        _inCondition[(int)_conditions[zone]]--;
        WrittenBytes -= _written[zone];
        _active.Remove(zone);
    }
}
