using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Sim;

/// <summary>Contents of a whole zoned disk.</summary>
/// <param name="Length">Length in bytes.</param>
/// <param name="Conventional">Version of each sector of the conventional zones; null: not known, after a failure.</param>
/// <param name="Zones">The sequential zones; null: not known, after a failure.</param>
internal sealed record ZonedContents(long Length, uint[]? Conventional, ZoneContents?[] Zones)
{
    /// <summary>Why a disk does not have these contents; null: it has.</summary>
    public string? Mismatch(FoundDisk found)
    {
        if (found.Length != Length || found.Zones.Length != Zones.Length)
        {
            return $"it has {found.Length} bytes and {found.Zones.Length} zones, not {Length} and {Zones.Length}";
        }

        for (int i = 0; i < Conventional?.Length; i++)
        {
            if (found.Conventional[i] != Conventional[i])
            {
                return $"conventional sector {i} is of version {found.Conventional[i]}, not {Conventional[i]}";
            }
        }

        for (int i = 0; i < Zones.Length; i++)
        {
            if (Zones[i]?.Mismatch(found.Zones[i]) is { } wrong)
            {
                return $"zone at {found.Zones[i].Descriptor.Start}: {wrong}";
            }
        }

        return null;
    }
}

/// <summary>A zoned disk as it is found.</summary>
/// <param name="Length">Length in bytes.</param>
/// <param name="Conventional">Version of each sector of the conventional zones.</param>
/// <param name="Zones">The sequential zones.</param>
internal sealed record FoundDisk(long Length, long[] Conventional, FoundZone[] Zones)
{
    private const int Sector = SectorPattern.Sector;

    /// <summary>Reads a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="mayBeOpen">Whether zones may be open.</param>
    public static async Task<FoundDisk> ReadAsync(IBlockDevice device, bool mayBeOpen)
    {
        var limits = device.Zones!.Limits;
        var report = new ZoneDescriptor[(device.Length + limits.ZoneSize - 1) / limits.ZoneSize];
        SimFailure.Unless(await device.Zones.ReportAsync(0, report) == report.Length, "zones are missing from the report");
        long conventional = Math.Min(limits.ConventionalZones * limits.ZoneSize, device.Length);
        var zones = new List<FoundZone>();
        foreach (var zone in report.Skip((int)limits.ConventionalZones))
        {
            bool isOffline = zone.Condition == ZoneCondition.Offline;
            long[] versions = isOffline ? [] : await VersionsAsync(device, zone.Start, zone.Length);
            uint extension = await ExtensionAsync(device.Zones.Attributes!, (int)(zone.Start / limits.ZoneSize));
            zones.Add(new FoundZone(zone, versions, extension, mayBeOpen));
        }

        return new FoundDisk(device.Length, await VersionsAsync(device, 0, conventional), [.. zones]);
    }

    /// <summary>Bytes of a descriptor extension of a version.</summary>
    public static byte[] Extension(int length, uint version)
    {
        var bytes = new byte[length];
        bytes.AsSpan().Fill((byte)version);
        BinaryPrimitives.WriteUInt32BigEndian(bytes, version);
        return bytes;
    }

    private static async Task<uint> ExtensionAsync(IZoneAttributes attributes, int zone)
    {
        var bytes = new byte[attributes.ExtensionBytes];
        if (!await attributes.ReadExtensionAsync(zone, bytes))
        {
            return 0;
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        SimFailure.Unless(bytes.AsSpan().SequenceEqual(Extension(bytes.Length, version)), $"the extension of zone {zone} is garbage");
        return version;
    }

    private static async Task<long[]> VersionsAsync(IBlockDevice device, long offset, long length)
    {
        var bytes = new byte[length];
        await device.ReadAsync(offset, bytes);
        var versions = new long[length / Sector];
        for (int i = 0; i < versions.Length; i++)
        {
            versions[i] = SectorPattern.Identify(bytes.AsSpan(i * Sector, Sector), offset + (i * Sector));
        }

        return versions;
    }
}
