using System.Numerics;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;

namespace Paddock.Qcow2.Create;

/// <summary>The zoned part of a new image (spec section 2): what is refused, and what is written.</summary>
internal static class ZonedCreation
{
    private const int Sector = 512;
    private const long MaxZoneSizeC = 1L << 41;

    /// <summary>Refuses options that make no zoned disk, each with a message of its own.</summary>
    public static void Check(Qcow2CreateOptions options)
    {
        if (options.Zoned is not { } zoned)
        {
            return;
        }

        CheckSizes(zoned, options.Size);
        long count = Zones(zoned, options.Size);
        Refuse(count > Qcow2Limits.MaxZones, $"the disk would have {count} zones; the limit is {Qcow2Limits.MaxZones}");
        Refuse(zoned.ConventionalZones > count, $"conventional_zones is {zoned.ConventionalZones}, more than the disk's {count} zones");
        Refuse(
            zoned.MaxActiveZones != 0 && zoned.MaxOpenZones > zoned.MaxActiveZones,
            $"max_open_zones is {zoned.MaxOpenZones}, more than max_active_zones, {zoned.MaxActiveZones}");
        Refuse(
            zoned.MaxAppendBytes < 0 || zoned.MaxAppendBytes % Sector != 0 || zoned.MaxAppendBytes > uint.MaxValue,
            $"max_append_bytes is {zoned.MaxAppendBytes}; it must be a multiple of {Sector} below 4 GiB");
        Refuse(
            options.InitialWritePointers is { } pointers && pointers.Count != count,
            $"{options.InitialWritePointers?.Count} write pointers were given for a disk of {count} zones");
        CheckRandomArea(zoned);
        if (zoned.Layout == ZoneLayout.C)
        {
            CheckLayoutC(zoned, count, options.ClusterSize);
        }
    }

    /// <summary>The table's bytes; empty for an image without zones.</summary>
    public static byte[] BuildTable(Qcow2CreateOptions options, long size)
    {
        if (options.Zoned is not { } zoned)
        {
            return [];
        }

        var format = ZoneTableFormat.Of(zoned.Layout);
        var table = new byte[Zones(zoned, size) * ZoneTableFormat.EntrySize];
        for (int zone = 0; zone < table.Length / ZoneTableFormat.EntrySize; zone++)
        {
            bool conventional = zone < zoned.ConventionalZones;
            long pointer = conventional || options.InitialWritePointers is null ? zone * zoned.ZoneSize
                : options.InitialWritePointers[zone];
            format.Write(table.AsSpan(zone * ZoneTableFormat.EntrySize), pointer, conventional);
        }

        return table;
    }

    /// <summary>Paddock's own extension, for zones that can have random write areas; null if they cannot.</summary>
    public static byte[]? BuildPaddockExtension(Qcow2CreateOptions options)
    {
        if (options.Zoned is not { RandomArea: { Size: > 0 } area } zoned)
        {
            return null;
        }

        // as many as can be active, if nothing else is said
        var extension = new PaddockExtension(0, default)
        {
            Area = area with { MaxZones = area.MaxZones == 0 ? zoned.MaxActiveZones : area.MaxZones },
        };
        var bytes = new byte[extension.Length];
        extension.WriteTo(bytes);
        return bytes;
    }

    /// <summary>The extension's bytes.</summary>
    public static byte[] BuildExtension(Qcow2CreateOptions options, long size, long tableOffset)
    {
        var zoned = options.Zoned!;
        uint count = (uint)Zones(zoned, size);
        uint open = zoned.MaxOpenZones == 0 ? zoned.MaxActiveZones : zoned.MaxOpenZones;
        return ZonedExtension.Write(new ZonedParameters
        {
            Layout = zoned.Layout,
            Model = 1,
            ZoneSize = (ulong)zoned.ZoneSize,
            ZoneCapacity = (ulong)(zoned.ZoneCapacity ?? zoned.ZoneSize),
            ZoneCount = count,
            ConventionalZones = zoned.ConventionalZones,
            MaxActiveZones = zoned.MaxActiveZones,
            MaxOpenZones = open,
            MaxAppendBytes = (uint)zoned.MaxAppendBytes,
            TableOffset = (ulong)tableOffset,
        });
    }

    private static long Zones(ZonedCreateOptions zoned, long size) => (size + zoned.ZoneSize - 1) / zoned.ZoneSize;

    private static void CheckSizes(ZonedCreateOptions zoned, long size)
    {
        Refuse(zoned.ZoneSize <= 0, "zone_size must not be 0");
        Refuse(zoned.ZoneSize % Sector != 0, $"zone_size is {zoned.ZoneSize}; it must be a multiple of {Sector}");
        Refuse(zoned.Layout != ZoneLayout.C && zoned.ZoneSize > uint.MaxValue, $"zone_size is {zoned.ZoneSize}; it must be below 4 GiB");
        long capacity = zoned.ZoneCapacity ?? zoned.ZoneSize;
        Refuse(capacity > zoned.ZoneSize, $"zone_capacity is {capacity}, more than zone_size, {zoned.ZoneSize}");
        Refuse(capacity <= 0 || capacity % Sector != 0, $"zone_capacity is {capacity}; it must be a positive multiple of {Sector}");
        Refuse(size % Sector != 0, $"the size of a zoned disk must be a multiple of {Sector}");
        Refuse(size <= 0, "a zoned disk must not be empty");
    }

    private static void CheckRandomArea(ZonedCreateOptions zoned)
    {
        var area = zoned.RandomArea;
        if (area == default)
        {
            return;
        }

        long capacity = zoned.ZoneCapacity ?? zoned.ZoneSize;
        Refuse(
            area.Granularity <= 0 || area.Granularity % Sector != 0 || area.Granularity > PaddockExtension.MaxAreaBytes,
            $"area_granularity is {area.Granularity}; it must be a multiple of {Sector} up to {PaddockExtension.MaxAreaBytes}");
        Refuse(
            area.Size <= 0 || area.Size % area.Granularity != 0 || area.Size > PaddockExtension.MaxAreaBytes,
            $"area_size is {area.Size}; it must be a multiple of area_granularity, {area.Granularity}, up to "
            + $"{PaddockExtension.MaxAreaBytes}");
        Refuse(area.Size > capacity, $"area_size is {area.Size}, more than zone_capacity, {capacity}");
        Refuse(
            capacity % area.Granularity != 0,
            $"zone_capacity is {capacity}; it must be a multiple of area_granularity, {area.Granularity}");
        Refuse(
            zoned.MaxActiveZones != 0 && area.MaxZones > zoned.MaxActiveZones,
            $"area_zones is {area.MaxZones}, more than max_active_zones, {zoned.MaxActiveZones}");
    }

    private static void CheckLayoutC(ZonedCreateOptions zoned, long count, int clusterSize)
    {
        Refuse(
            !BitOperations.IsPow2(zoned.ZoneSize) || zoned.ZoneSize > MaxZoneSizeC,
            $"zone_size is {zoned.ZoneSize}; zone_layout=c takes a power of two up to 2 TiB");
        Refuse(zoned.ZoneSize % clusterSize != 0, WholeClusters(zoned.ZoneSize, clusterSize));
        Refuse(zoned.MaxAppendBytes != 0, "zone_layout=c has no max_append_bytes");
        Refuse(
            zoned.MaxOpenZones > count - zoned.ConventionalZones,
            $"max_open_zones is {zoned.MaxOpenZones}, more than the {count - zoned.ConventionalZones} sequential zones");
    }

    /// <summary>Why layout C does not take a zone size (docs: the newest proposal's rule; what exists opens).</summary>
    public static string WholeClusters(long zoneSize, int clusterSize)
        => $"zone_size is {zoneSize}; zone_layout=c requires a multiple of the cluster size, {clusterSize}: use larger zones or a smaller "
            + "cluster_size";

    private static void Refuse(bool bad, string message)
    {
        if (bad)
        {
            throw new BlockException(BlockError.InvalidArgument, message);
        }
    }
}
