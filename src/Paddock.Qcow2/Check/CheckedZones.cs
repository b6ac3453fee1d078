using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>The zoned extension and the entries of its table, parsed by the checker itself (zoned-qcow2.md 1.2 and 1.3).</summary>
internal sealed record CheckedZones(
    char Layout, long ZoneSize, long Capacity, uint Conventional, uint Count, HostOffset TableOffset)
{
    public const uint ExtensionType = 0x007a6264;
    public const uint MaxZones = 1_048_576;

    public long TableBytes => Count * 8L;

    /// <summary>True where entries are stored with the least significant byte first.</summary>
    public bool LittleEndian { get; init; }

    /// <summary>The bit that marks a conventional zone.</summary>
    public ulong Flag { get; init; }

    /// <summary>The extension in the layout that fits the image; null, and the reason, if none does.</summary>
    public static CheckedZones? Read(byte[] data, CheckedImage image, long fileLength, out string? reason)
    {
        reason = $"is {data.Length} bytes long; 44 or 48 are known";
        if (data.Length is not (44 or 48))
        {
            return null;
        }

        if (data[0] != 1)
        {
            reason = $"has zone model {data[0]}; 1 is known";
            return null;
        }

        if (data.Length == 44)
        {
            var c = new CheckedZones('C', I64(data, 8), I64(data, 16), U32(data, 32), U32(data, 4), new(I64(data, 24)))
            {
                Flag = 1UL << 63,
            };
            reason = c.Problem(image, fileLength);
            return reason is null ? c : null;
        }

        var a = new CheckedZones('A', U32(data, 4), U32(data, 8), U32(data, 12), U32(data, 16), new(I64(data, 40)))
        {
            LittleEndian = true, Flag = 1UL << 59,
        };
        reason = a.Problem(image, fileLength);
        if (reason is null)
        {
            return a;
        }

        var b = new CheckedZones('B', I64(data, 8), I64(data, 16), U32(data, 24), U32(data, 4), new(I64(data, 40))) { Flag = 1UL << 63 };
        return b.Problem(image, fileLength) is null ? b : null;
    }

    public long Start(long zone) => zone * ZoneSize;

    /// <summary>The raw entry of a zone in the table's order.</summary>
    public ulong Entry(ReadOnlySpan<byte> table, long zone)
    {
        var at = table[(int)(zone * 8)..];
        return LittleEndian ? BinaryPrimitives.ReadUInt64LittleEndian(at) : BinaryPrimitives.ReadUInt64BigEndian(at);
    }

    public void Put(Span<byte> entry, ulong value)
    {
        if (LittleEndian)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(entry, value);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(entry, value);
        }
    }

    /// <summary>True when the entry can be the zone's: a conventional zone's flag and start, else whole sectors inside the zone.</summary>
    public bool IsValid(ulong entry, long zone)
    {
        ulong start = (ulong)Start(zone);
        return zone < Conventional
            ? entry == (start | Flag)
            : entry >= start && entry <= start + (ulong)ZoneSize && entry % 512 == 0;
    }

    /// <summary>The same table in the order, and with the flag, in which most of its entries are valid; its own wins a tie.</summary>
    public CheckedZones InOrderOf(ReadOnlySpan<byte> table)
    {
        var best = this;
        long most = CountValid(table);
        foreach (var (little, bit) in new[] { (true, 59), (false, 63), (true, 63), (false, 59) })
        {
            var other = this with { LittleEndian = little, Flag = 1UL << bit };
            long valid = most < Count ? other.CountValid(table) : 0;
            if (valid > most)
            {
                (best, most) = (other, valid);
            }
        }

        return best;
    }

    private static uint U32(byte[] data, int at) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(at));

    private static long I64(byte[] data, int at) => BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(at));

    private long CountValid(ReadOnlySpan<byte> table)
    {
        long valid = 0;
        for (long i = 0; i < Count; i++)
        {
            valid += IsValid(Entry(table, i), i) ? 1 : 0;
        }

        return valid;
    }

    private string? Problem(CheckedImage image, long fileLength)
    {
        if (ZoneSize <= 0 || ZoneSize % 512 != 0)
        {
            return $"has zone_size 0x{ZoneSize:x}; a multiple of 512 above 0 is needed";
        }

        if (Capacity <= 0 || Capacity > ZoneSize || Capacity % 512 != 0)
        {
            return $"has zone_capacity 0x{Capacity:x}; a multiple of 512 up to zone_size 0x{ZoneSize:x} is needed";
        }

        long zones = (image.VirtualSize / ZoneSize) + (image.VirtualSize % ZoneSize != 0 ? 1 : 0);
        if (Count != zones || Count > MaxZones)
        {
            return $"has nr_zones {Count}; the disk has {zones}, and at most {MaxZones} are allowed";
        }

        if (Conventional > Count)
        {
            return $"has conventional_zones {Conventional}; nr_zones is {Count}";
        }

        return TableOffset.Value <= 0 || !image.IsAligned(TableOffset) || TableOffset.Value >= fileLength
            ? $"has zonedmeta_offset {TableOffset}; a cluster inside the file of 0x{fileLength:x} bytes is needed"
            : null;
    }
}
