using System.Numerics;
using Paddock.Block;

namespace Paddock.Zones;

/// <summary>
/// Where zones lie on the disk: arithmetic only, all in bytes. Zone <c>i</c> starts at <c>i x zone size</c> (zoned-qcow2.md 1.3).
/// </summary>
public readonly struct ZoneGeometry
{
    /// <summary>Most zones that a disk may have (zoned-qcow2.md 1.2): as many as one table of 8 MiB describes.</summary>
    public const int MaxZones = 1_048_576;

    /// <summary>Unit of writes to sequential zones, in bytes.</summary>
    public const int SectorSize = 512;

    // -1 where the zone size is no power of two; then a division finds the zone.
    private readonly int _shift;
    private readonly long _capacity;

    /// <param name="limits">Zone size, capacity, number of zones and of conventional ones.</param>
    /// <param name="diskLength">Bytes on the whole disk.</param>
    /// <exception cref="ArgumentException">The numbers contradict each other: the caller should have checked them.</exception>
    public ZoneGeometry(in ZonedLimits limits, long diskLength)
    {
        Require(limits.ZoneSize > 0 && limits.ZoneSize % SectorSize == 0, "zone size");
        Require(limits.ZoneCapacity > 0 && limits.ZoneCapacity <= limits.ZoneSize, "zone capacity");
        Require(limits.ZoneCapacity % SectorSize == 0, "zone capacity");
        Require(diskLength >= 0 && CountFor(diskLength, limits.ZoneSize) == limits.ZoneCount, "number of zones");
        Require(limits.ZoneCount is >= 0 and <= MaxZones, "number of zones");
        Require(limits.ConventionalZones >= 0 && limits.ConventionalZones <= limits.ZoneCount, "number of conventional zones");

        ZoneSize = limits.ZoneSize;
        _capacity = limits.ZoneCapacity;
        _shift = BitOperations.IsPow2(ZoneSize) ? BitOperations.Log2((ulong)ZoneSize) : -1;
        ZoneCount = limits.ZoneCount;
        ConventionalZones = limits.ConventionalZones;
        DiskLength = diskLength;
    }

    /// <summary>Bytes from one zone's start to the next.</summary>
    public long ZoneSize { get; }

    /// <summary>Number of zones, a smaller last one included.</summary>
    public int ZoneCount { get; }

    /// <summary>How many leading zones are conventional.</summary>
    public int ConventionalZones { get; }

    /// <summary>Bytes on the whole disk.</summary>
    public long DiskLength { get; }

    /// <summary>Number of zones on a disk of this length.</summary>
    public static long CountFor(long diskLength, long zoneSize) => (diskLength / zoneSize) + (diskLength % zoneSize == 0 ? 0 : 1);

    /// <summary>Index of the zone that holds a byte of the disk.</summary>
    public int ZoneOf(long offset) => (int)(_shift >= 0 ? offset >> _shift : offset / ZoneSize);

    /// <summary>Where a zone starts.</summary>
    public long StartOf(int zone) => zone * ZoneSize;

    /// <summary>A zone's length: the zone size, less for a smaller last zone.</summary>
    public long LengthOf(int zone) => Math.Min(ZoneSize, DiskLength - StartOf(zone));

    /// <summary>Where a zone ends: start + length.</summary>
    public long EndOf(int zone) => Math.Min(StartOf(zone) + ZoneSize, DiskLength);

    /// <summary>
    /// Writable bytes from a zone's start. A conventional zone is writable anywhere (zoned-qcow2.md 3; the standards require its capacity
    /// to equal its length); a last, smaller zone has no more than its length.
    /// </summary>
    public long CapacityOf(int zone) => zone < ConventionalZones ? LengthOf(zone) : Math.Min(_capacity, DiskLength - StartOf(zone));

    /// <summary>Whether a zone must be written at its write pointer.</summary>
    public bool IsSequential(int zone) => zone >= ConventionalZones;

    /// <summary>Whether a zone starts at this offset.</summary>
    public bool IsZoneStart(long offset)
        => _shift >= 0 ? (offset & (ZoneSize - 1)) == 0 : offset % ZoneSize == 0;

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new ArgumentException($"the {what} of a zoned disk contradicts the rest of its geometry");
        }
    }
}
