using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Paddock's own header extension, 0x5044434b (zoned-qcow2.md 1.4; docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     version: 1
/// 4       4     conditions_zones: entries of the condition table
/// 8       8     conditions_offset: host offset of the condition table, cluster-aligned; 0: there is none
/// 16      4     extension_bytes: of a zone descriptor extension, a multiple of 64 up to 448; 0: none was ever set
/// 20      4     directory_entries: clusters that the extension directory can name
/// 24      8     directory_offset: host offset of the extension directory, cluster-aligned; 0: there is none
/// 32      4     area_bytes: of a zone random write area, a multiple of area_unit up to 16 MiB; 0: zones have none
/// 36      4     area_unit: by how many bytes areas are committed, a multiple of 512
/// 40      4     area_zones: most zones that have an area at once; 0: no limit
/// 44      4     zero
/// </code>
/// The first 16 bytes are enough, and the last 16 are there only in images whose zones can have random write areas.
/// Bytes after these belong to later revisions of version 1: they are kept and not read.
/// </summary>
/// <param name="ConditionZones">Entries of the condition table.</param>
/// <param name="ConditionOffset">Where it lies; 0: nowhere.</param>
internal readonly record struct PaddockExtension(uint ConditionZones, HostOffset ConditionOffset)
{
    private const uint KnownVersion = 1;
    private const int VersionAt = 0;
    private const int ZonesAt = VersionAt + sizeof(uint);
    private const int OffsetAt = ZonesAt + sizeof(uint);
    private const int BytesAt = OffsetAt + sizeof(ulong);
    private const int EntriesAt = BytesAt + sizeof(uint);
    private const int DirectoryAt = EntriesAt + sizeof(uint);
    private const int AreaAt = DirectoryAt + sizeof(ulong);
    private const int AreaUnitAt = AreaAt + sizeof(uint);
    private const int AreaZonesAt = AreaUnitAt + sizeof(uint);
    private const int Sector = 512;

    /// <summary>The least that an extension has.</summary>
    public const int MinSize = BytesAt;

    /// <summary>Bytes up to the extension directory.</summary>
    public const int Size = AreaAt;

    /// <summary>Bytes with random write areas.</summary>
    public const int SizeWithAreas = AreaZonesAt + sizeof(uint) + sizeof(uint);

    /// <summary>Longest random write area, in bytes: fewer than 65,536 blocks of any size.</summary>
    public const long MaxAreaBytes = 16 << 20;

    /// <summary>Bytes of a zone descriptor extension; 0: the image defines none.</summary>
    public uint ExtensionBytes { get; init; }

    /// <summary>Entries of the extension directory.</summary>
    public uint DirectoryEntries { get; init; }

    /// <summary>Where it lies; 0: nowhere.</summary>
    public HostOffset DirectoryOffset { get; init; }

    /// <summary>Random write areas of zones.</summary>
    public RandomAreaLimits Area { get; init; }

    /// <summary>Bytes that this extension takes.</summary>
    public int Length => Area.Size == 0 ? Size : SizeWithAreas;

    /// <summary>Bytes of the condition table.</summary>
    public long ConditionBytes => ZoneConditionTable.SizeOf(ConditionZones);

    /// <summary>Bytes of the directory.</summary>
    public long DirectoryBytes => ZoneExtensionDirectory.SizeOf(DirectoryEntries);

    /// <summary>
    /// Reads the extension. What it says is optional: a version that is not known, or a field beyond its limit, gives the reason, and the
    /// image opens without it.
    /// </summary>
    public static PaddockExtension? Parse(ReadOnlySpan<byte> data, int clusterSize, long fileLength, out string? problem)
    {
        if (data.Length < MinSize)
        {
            problem = $"its length is {data.Length}, and must be at least {MinSize}";
            return null;
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(data[VersionAt..]);
        uint zones = BinaryPrimitives.ReadUInt32BigEndian(data[ZonesAt..]);
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(data[OffsetAt..]);
        problem = version != KnownVersion ? $"version is {version}, and {KnownVersion} is known"
            : zones > Qcow2Limits.MaxZones ? $"conditions_zones is {zones}, and must be at most {Qcow2Limits.MaxZones}"
            : Misplaced("conditions_offset", offset, ZoneConditionTable.SizeOf(zones), clusterSize, fileLength);
        var extension = new PaddockExtension(zones, new HostOffset((long)offset));
        if (problem is null && data.Length >= Size)
        {
            uint bytes = BinaryPrimitives.ReadUInt32BigEndian(data[BytesAt..]);
            uint entries = BinaryPrimitives.ReadUInt32BigEndian(data[EntriesAt..]);
            ulong directory = BinaryPrimitives.ReadUInt64BigEndian(data[DirectoryAt..]);
            problem = !ZoneExtensionSlot.IsSize(bytes, clusterSize) && (bytes != 0 || directory != 0)
                    ? $"extension_bytes is {bytes}, and must be a multiple of {ZoneExtensionSlot.Unit} "
                        + $"up to {ZoneExtensionSlot.MaxBytes(clusterSize)}"
                : entries > MostEntries(bytes, clusterSize)
                    ? $"directory_entries is {entries}, and must be at most {MostEntries(bytes, clusterSize)}"
                : Misplaced("directory_offset", directory, ZoneExtensionDirectory.SizeOf(entries), clusterSize, fileLength);
            extension = extension with
            {
                ExtensionBytes = bytes, DirectoryEntries = entries, DirectoryOffset = new HostOffset((long)directory),
            };
        }

        if (problem is null && data.Length >= SizeWithAreas)
        {
            extension = extension with
            {
                Area = new RandomAreaLimits(
                    BinaryPrimitives.ReadUInt32BigEndian(data[AreaAt..]), BinaryPrimitives.ReadUInt32BigEndian(data[AreaUnitAt..]),
                    BinaryPrimitives.ReadUInt32BigEndian(data[AreaZonesAt..])),
            };
            problem = AreaProblem(extension.Area);
        }

        return problem is null ? extension : null;
    }

    /// <summary>What is wrong with random write areas; null if they are possible.</summary>
    public static string? AreaProblem(in RandomAreaLimits area)
        => area.Size == 0 ? null
            : area.Granularity <= 0 || area.Granularity % Sector != 0
                ? $"area_unit is {area.Granularity}, and must be a positive multiple of {Sector}"
            : area.Size < 0 || area.Size > MaxAreaBytes || area.Size % area.Granularity != 0
                ? $"area_bytes is {area.Size}, and must be a multiple of area_unit, {area.Granularity}, up to {MaxAreaBytes}"
            : null;

    /// <summary>Writes <see cref="Length"/> bytes.</summary>
    public void WriteTo(Span<byte> data)
    {
        BinaryPrimitives.WriteUInt32BigEndian(data[VersionAt..], KnownVersion);
        BinaryPrimitives.WriteUInt32BigEndian(data[ZonesAt..], ConditionZones);
        BinaryPrimitives.WriteInt64BigEndian(data[OffsetAt..], ConditionOffset.Value);
        BinaryPrimitives.WriteUInt32BigEndian(data[BytesAt..], ExtensionBytes);
        BinaryPrimitives.WriteUInt32BigEndian(data[EntriesAt..], DirectoryEntries);
        BinaryPrimitives.WriteInt64BigEndian(data[DirectoryAt..], DirectoryOffset.Value);
        if (Area.Size != 0)
        {
            BinaryPrimitives.WriteUInt32BigEndian(data[AreaAt..], (uint)Area.Size);
            BinaryPrimitives.WriteUInt32BigEndian(data[AreaUnitAt..], (uint)Area.Granularity);
            BinaryPrimitives.WriteUInt32BigEndian(data[AreaZonesAt..], Area.MaxZones);
        }
    }

    // as many as an image with the most zones needs: each names a cluster that opening reads
    private static uint MostEntries(uint bytes, int clusterSize)
    {
        int zones = bytes == 0 ? 1 : ZoneExtensionSlot.ZonesPerCluster((int)bytes, clusterSize);
        return (uint)((Qcow2Limits.MaxZones + zones - 1) / zones);
    }

    private static string? Misplaced(string field, ulong offset, long size, int clusterSize, long fileLength)
        => offset == 0 || (offset % (ulong)clusterSize == 0 && offset <= (ulong)fileLength && (ulong)fileLength - offset >= (ulong)size)
            ? null
            : $"{field} is {offset}, and must be a cluster whose table lies inside the file of {fileLength} bytes";
}
