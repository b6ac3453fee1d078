using System.Numerics;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>Fields of a zoned header extension, in any layout (zoned-qcow2.md 1.2).</summary>
internal sealed record ZonedParameters
{
    private const long Sector = 512;

    public required ZoneLayout Layout { get; init; }

    /// <summary>1: host-managed; 0: not zoned.</summary>
    public required byte Model { get; init; }

    public required ulong ZoneSize { get; init; }

    public required ulong ZoneCapacity { get; init; }

    public required uint ZoneCount { get; init; }

    public required uint ConventionalZones { get; init; }

    public required uint MaxActiveZones { get; init; }

    public required uint MaxOpenZones { get; init; }

    public uint MaxAppendBytes { get; init; }

    public required ulong TableOffset { get; init; }

    /// <summary>Layout A stores the table's size, the others imply it.</summary>
    public ulong? TableBytes { get; init; }

    public ZonedLimits Limits => new(
        (long)ZoneSize, (long)ZoneCapacity, (int)ZoneCount, (int)ConventionalZones, MaxOpenZones, MaxActiveZones, MaxAppendBytes);

    /// <summary>Whether these fields can be meant at all: the three tests that tell layout A from B.</summary>
    public bool IsPlausible(long virtualSize, int clusterSize, long fileLength)
        => ZoneSize > 0 && ZoneCount == ZonesFor(virtualSize) && ZoneCapacity <= ZoneSize
            && TableOffset != 0 && TableOffset % (ulong)clusterSize == 0 && TableOffset < (ulong)fileLength;

    /// <summary>Checks every field; the message names the field, its value and the limit.</summary>
    public void Validate(long virtualSize, int clusterSize, long fileLength)
    {
        Check(ZoneSize > 0 && ZoneSize % Sector == 0, "zone_size", ZoneSize, "a positive multiple of 512");
        Check(Layout != ZoneLayout.A || ZoneSize <= uint.MaxValue, "zone_size", ZoneSize, "below 4 GiB");
        Check(ZoneSize <= 1UL << 41, "zone_size", ZoneSize, "at most 2 TiB");
        Check(Layout != ZoneLayout.C || BitOperations.IsPow2(ZoneSize), "zone_size", ZoneSize, "a power of two in this layout");
        Check(ZoneCapacity >= 1 && ZoneCapacity <= ZoneSize, "zone_capacity", ZoneCapacity, $"1 to zone_size, {ZoneSize}");
        Check(ZoneCapacity % Sector == 0, "zone_capacity", ZoneCapacity, "a multiple of 512");
        Check(ZoneCount == ZonesFor(virtualSize), "nr_zones", ZoneCount, $"{ZonesFor(virtualSize)}, which the disk's size makes");
        Check(ZoneCount <= Qcow2Limits.MaxZones, "nr_zones", ZoneCount, $"at most {Qcow2Limits.MaxZones}");
        Check(ConventionalZones <= ZoneCount, "conventional_zones", ConventionalZones, $"at most nr_zones, {ZoneCount}");
        Check(
            MaxActiveZones == 0 || MaxOpenZones <= MaxActiveZones, "max_open_zones", MaxOpenZones,
            $"at most max_active_zones, {MaxActiveZones}");
        Check(
            Layout != ZoneLayout.C || MaxOpenZones <= ZoneCount - ConventionalZones,
            "max_open_zones", MaxOpenZones, $"at most the number of sequential zones, {ZoneCount - ConventionalZones}, in this layout");
        Check(MaxAppendBytes % Sector == 0, "max_append_bytes", MaxAppendBytes, "a multiple of 512");
        Check(TableBytes is null || TableBytes == 8UL * ZoneCount, "zonedmeta_size", TableBytes ?? 0, $"8 x nr_zones, {8UL * ZoneCount}");
        Check(
            TableOffset != 0 && TableOffset % (ulong)clusterSize == 0 && TableOffset <= (ulong)fileLength
                && (ulong)fileLength - TableOffset >= 8UL * ZoneCount,
            "zonedmeta_offset", TableOffset, $"a cluster whose table lies inside the file of {fileLength} bytes");
    }

    private ulong ZonesFor(long virtualSize) => ((ulong)virtualSize + ZoneSize - 1) / ZoneSize;

    private static void Check(bool holds, string field, ulong value, string limit)
    {
        if (!holds)
        {
            throw new BlockException(BlockError.InvalidArgument, $"zoned header extension: {field} is {value}, and must be {limit}");
        }
    }
}
