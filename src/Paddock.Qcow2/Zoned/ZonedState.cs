using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Qcow2.Engine;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>What the parts of a zoned image share: the zones, their table, what they have buffered, and the locks.</summary>
/// <remarks>
/// Locks, in the order in which they are taken: a range of zones (exclusive for whatever changes them, so that writes to one zone
/// go one after another, in order of arrival); then the locks of the image under it (<see cref="EngineLocks"/>); then <see
/// cref="Lock"/>, which guards everything here and is never held across I/O.
/// </remarks>
internal sealed class ZonedState(ImageHeader header, ZonedParameters parameters, ZoneSet zones, ZonePointerTable table)
{
    private readonly RangeLock _zoneLocks = new();
    private volatile ZonedParameters _parameters = parameters;

    /// <summary>Guards the zones, the table's bytes and the buffers.</summary>
    public Lock Lock { get; } = new();

    /// <summary>The state machine.</summary>
    public ZoneSet Zones => zones;

    /// <summary>The zone table.</summary>
    public ZonePointerTable Table => table;

    /// <summary>Small writes that the image does not have yet.</summary>
    public ZoneBuffers Buffers { get; } = new();

    /// <summary>
    /// Zones that are getting a random write area and may hold old data: they read as zeroes. Guarded by <see cref="Lock"/>.
    /// </summary>
    public HashSet<int> Erasing { get; } = [];

    /// <summary>Where the readable data of a zone end. Under <see cref="Lock"/>.</summary>
    public long ReadableEnd(int zone)
        => Erasing.Count > 0 && Erasing.Contains(zone) ? zones.StartOf(zone) : zones.DataEndOf(zone);

    /// <summary>What the header extension holds.</summary>
    public ZonedParameters Parameters => _parameters;

    /// <summary>Bytes of the disk.</summary>
    public long Length => header.VirtualSize;

    /// <summary>Bytes of the disk in conventional zones.</summary>
    public long ConventionalEnd => zones.Geometry.ConventionalZones * zones.Geometry.ZoneSize;

    /// <summary>Completes when the caller holds a zone alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ValueTask AcquireAsync(int zone) => _zoneLocks.AcquireAsync(zone, zone, exclusive: true);

    /// <summary>Gives up a zone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Release(int zone) => _zoneLocks.Release(zone, zone, exclusive: true);

    /// <summary>Completes when the caller holds a range of zones.</summary>
    public ValueTask AcquireAsync(long first, long last, bool exclusive = true) => _zoneLocks.AcquireAsync(first, last, exclusive);

    /// <summary>Gives up a range taken with the same arguments.</summary>
    public void Release(long first, long last, bool exclusive = true) => _zoneLocks.Release(first, last, exclusive);

    /// <summary>The end of what can be written in a zone.</summary>
    public long CapacityEnd(int zone) => zones.StartOf(zone) + zones.CapacityOf(zone);

    /// <summary>The header names another table: memory follows. Under <see cref="Lock"/>.</summary>
    public void Follow(ZonedParameters next, long length, byte[] stored, ZoneTableFormat format)
    {
        _parameters = next;
        zones.Resize(length);
        table.Move(new((long)next.TableOffset), stored, format);
    }

    /// <summary>The error of a request that the state machine rejects.</summary>
    public ZoneException Refuse(ZoneResult result, string what, long offset, long length)
        => ZoneMessages.Exception(result, zones, what, offset, length);

    /// <summary>Applies an action that was checked. Under <see cref="Lock"/>.</summary>
    public void Apply(ZoneAction action, ZoneRange range)
    {
        int open = zones.ImplicitlyOpenCount;
        zones.Apply(action, range);
        TraceOpen(action.ToString().ToLowerInvariant(), open);
    }

    /// <summary>Raises the trace event when a request changed the number of implicitly open zones. Under <see cref="Lock"/>.</summary>
    public void TraceOpen(string operation, int before)
    {
        if (before != zones.ImplicitlyOpenCount && Qcow2Trace.IsEnabled)
        {
            Qcow2Trace.ImpOpenZones(operation, zones.ImplicitlyOpenCount);
        }
    }
}
