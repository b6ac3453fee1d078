using System.Buffers.Binary;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// How the entries of a zone table are written (zoned-qcow2.md 1.3), 8 bytes a zone:
/// <code>
/// layout  byte order     bit of a conventional zone
/// A       little-endian  59
/// B, C    big-endian     63
/// </code>
/// The rest is the write pointer, an absolute byte offset on the disk; a FULL zone's is its start + zone_size.
/// </summary>
/// <param name="LittleEndian">The byte order.</param>
/// <param name="ConventionalBit">The flag's bit.</param>
internal readonly record struct ZoneTableFormat(bool LittleEndian, int ConventionalBit)
{
    public const int EntrySize = 8;

    private static readonly ZoneTableFormat[] All = [new(true, 59), new(false, 63), new(true, 63), new(false, 59)];

    /// <summary>The format that belongs to a layout.</summary>
    public static ZoneTableFormat Of(ZoneLayout layout) => layout == ZoneLayout.A ? All[0] : All[1];

    /// <summary>The layout's own format if any entry contradicts no other; else the one under which the most entries are valid.</summary>
    public static ZoneTableFormat Detect(ReadOnlySpan<byte> table, ZoneLayout layout, ZoneSet zones)
    {
        var best = Of(layout);
        int bestValid = best.CountValid(table, zones);
        foreach (var format in All)
        {
            if (bestValid == zones.Count)
            {
                break;
            }

            int valid = format.CountValid(table, zones);
            if (valid > bestValid)
            {
                (best, bestValid) = (format, valid);
            }
        }

        return best;
    }

    /// <summary>Reads an entry: false when it is valid in no way for its zone.</summary>
    public bool TryRead(ReadOnlySpan<byte> table, int zone, ZoneSet zones, out long pointer)
    {
        var bytes = table.Slice(zone * EntrySize, EntrySize);
        ulong raw = LittleEndian ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : BinaryPrimitives.ReadUInt64BigEndian(bytes);
        ulong flag = 1UL << ConventionalBit;
        long start = zones.StartOf(zone);
        pointer = (long)(raw & ~flag);
        bool flagged = (raw & flag) != 0;
        if (!zones.Geometry.IsSequential(zone))
        {
            return flagged || pointer == start;
        }

        return !flagged && pointer >= start && pointer - start <= zones.Geometry.ZoneSize && pointer % 512 == 0;
    }

    /// <summary>Writes an entry for a pointer.</summary>
    public void Write(Span<byte> entry, long pointer, bool conventional)
    {
        ulong raw = (ulong)pointer | (conventional ? 1UL << ConventionalBit : 0);
        if (LittleEndian)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(entry, raw);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(entry, raw);
        }
    }

    private int CountValid(ReadOnlySpan<byte> table, ZoneSet zones)
    {
        int valid = 0;
        for (int zone = 0; zone < zones.Count; zone++)
        {
            valid += TryRead(table, zone, zones, out _) ? 1 : 0;
        }

        return valid;
    }
}
