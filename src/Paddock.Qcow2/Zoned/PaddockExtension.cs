using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Paddock's own header extension, 0x5044434b (spec 1.4; docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     version: 1
/// 4       4     conditions_zones: entries of the condition table
/// 8       8     conditions_offset: host offset of the condition table, cluster-aligned; 0: there is none
/// </code>
/// Bytes behind these belong to later revisions of version 1: kept, and not looked at.
/// </summary>
/// <param name="ConditionZones">Entries of the condition table.</param>
/// <param name="ConditionOffset">Where it lies; 0: nowhere.</param>
internal readonly record struct PaddockExtension(uint ConditionZones, HostOffset ConditionOffset)
{
    private const uint KnownVersion = 1;
    private const int VersionAt = 0;
    private const int ZonesAt = VersionAt + sizeof(uint);
    private const int OffsetAt = ZonesAt + sizeof(uint);

    public const int Size = OffsetAt + sizeof(ulong);

    /// <summary>Bytes of the condition table.</summary>
    public long ConditionBytes => ZoneConditionTable.SizeOf(ConditionZones);

    /// <summary>
    /// Reads the extension. What it says is optional: a version that is not known, or a field beyond its limit, gives the reason, and the
    /// image opens without it.
    /// </summary>
    public static PaddockExtension? Parse(ReadOnlySpan<byte> data, int clusterSize, long fileLength, out string? problem)
    {
        problem = null;
        if (data.Length < Size)
        {
            problem = $"its length is {data.Length}, and must be at least {Size}";
            return null;
        }

        uint version = BinaryPrimitives.ReadUInt32BigEndian(data[VersionAt..]);
        uint zones = BinaryPrimitives.ReadUInt32BigEndian(data[ZonesAt..]);
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(data[OffsetAt..]);
        problem = version != KnownVersion ? $"version is {version}, and {KnownVersion} is known"
            : zones > Qcow2Limits.MaxZones ? $"conditions_zones is {zones}, and must be at most {Qcow2Limits.MaxZones}"
            : offset % (ulong)clusterSize != 0 || (offset != 0 && !Fits(offset, ZoneConditionTable.SizeOf(zones), fileLength))
                ? $"conditions_offset is {offset}, and must be a cluster whose table lies inside the file of {fileLength} bytes"
            : null;
        return problem is null ? new PaddockExtension(zones, new HostOffset((long)offset)) : null;
    }

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void WriteTo(Span<byte> data)
    {
        BinaryPrimitives.WriteUInt32BigEndian(data[VersionAt..], KnownVersion);
        BinaryPrimitives.WriteUInt32BigEndian(data[ZonesAt..], ConditionZones);
        BinaryPrimitives.WriteInt64BigEndian(data[OffsetAt..], ConditionOffset.Value);
    }

    private static bool Fits(ulong offset, long size, long fileLength)
        => offset <= (ulong)fileLength && (ulong)fileLength - offset >= (ulong)size;
}
