using System.Buffers.Binary;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Damages sensitive parts of an image (header fields, extensions, tables) with bit flips and known problematic values.</summary>
/// <param name="random">Source of all random choices.</param>
internal sealed class Mutator(Random random)
{
    // offset and size of each field of the header (qcow2 specification, "Header")
    private static readonly (int At, int Size)[] Fields =
    [
        (4, 4), (8, 8), (16, 4), (20, 4), (24, 8), (32, 4), (36, 4), (40, 8), (48, 8), (56, 4), (60, 4), (64, 8),
        (72, 8), (80, 8), (88, 8), (96, 4), (100, 4), (104, 1), (112, 4), (116, 4),
    ];

    private const ulong LuksExtension = 0x0537be77, BitmapsExtension = 0x23852875, PaddockExtension = 0x5044434b;
    private const int LuksHeaderBytes = 592, SnapshotTable = 64;

    private readonly List<string> _done = [];

    /// <summary>Description of the damage, for failure reports.</summary>
    public IEnumerable<string> Done => _done;

    /// <summary>Damages an image in one to four places.</summary>
    public void Damage(PagedStorage image)
    {
        int count = random.Next(4) == 0 ? random.Next(2, 5) : 1;
        for (int i = 0; i < count; i++)
        {
            switch (random.Next(10))
            {
                case < 3:
                    var (at, size) = Fields[random.Next(Fields.Length)];
                    Put(image, at, size, "header");
                    break;
                case < 5:
                    Put(image, 104 + (random.Next(64) * 4), random.Next(2) == 0 ? 4 : 8, "extensions");
                    break;
                case < 8 when LuksHeader(image) is > 0 and var luks:
                    Put(image, luks + (random.Next(LuksHeaderBytes / 4) * 4), 4, "LUKS header");
                    break;
                case < 7 when Place(image, SnapshotTable) is > 0 and var snapshots:
                    InSnapshots(image, snapshots);
                    break;
                case < 8 when Extension(image, BitmapsExtension) is > 0 and var bitmaps:
                    InBitmaps(image, bitmaps);
                    break;
                case < 8 when Extension(image, PaddockExtension) is > 0 and var attributes && random.Next(2) == 0:
                    // conditions, or the directory of descriptor extensions and what it names
                    long table = Place(image, attributes + (random.Next(2) == 0 ? 8 : 24));
                    Put(image, (random.Next(2) == 0 ? table : Math.Max(0, Follow(image, table + 16))) + (random.Next(16) * 4), 4,
                        "zone attributes");
                    break;
                case < 9:
                    InTable(image);
                    break;
                default:
                    Cut(image);
                    break;
            }
        }
    }

    private static ulong Field(PagedStorage image, long at, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        image.Read(at, bytes[(8 - size)..]);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    /// <summary>Where the LUKS header is; 0 if the image has none.</summary>
    private static long LuksHeader(PagedStorage image) => Extension(image, LuksExtension) is > 0 and var data ? Place(image, data) : 0;

    /// <summary>Where the data of a header extension begin; 0 if the image does not have it.</summary>
    private static long Extension(PagedStorage image, ulong wanted)
    {
        long at = Field(image, 4, 4) == 2 ? 72 : (long)Field(image, 100, 4);
        while (at is > 0 and < 4096 && Field(image, at, 4) is > 0 and var type)
        {
            if (type == wanted)
            {
                return at + 8;
            }

            at += 8 + (((long)Field(image, at + 4, 4) + 7) & ~7L);
        }

        return 0;
    }

    /// <summary>An offset that the image holds at a place; 0 if it lies outside.</summary>
    private static long Place(PagedStorage image, long at)
        => (long)Field(image, at, 8) is > 0 and < FuzzRun.MaxFile and var place ? place : 0;

    // an entry of the snapshot table, the L1 table that it names, or its zone record
    private void InSnapshots(PagedStorage image, long table)
    {
        long zones = Place(image, table + 40 + 24 + 8);
        switch (random.Next(4))
        {
            case 0 when zones > 0:
                Put(image, zones + (random.Next(24) * 4), 4, "zone record");
                break;
            case 1 when Place(image, table) is > 0 and var l1:
                Put(image, l1, 8, "L1 table of a snapshot");
                break;
            default:
                Put(image, table + (random.Next(40) * 4), 4, "snapshot table");
                break;
        }
    }

    // an entry of the directory, or of the table that the first one names
    private void InBitmaps(PagedStorage image, long extension)
    {
        long directory = Place(image, extension + 16);
        if (random.Next(3) == 0 && Place(image, directory) is > 0 and var table)
        {
            Put(image, table + (random.Next(4) * 8), 8, "bitmap table");
        }
        else
        {
            Put(image, directory + (random.Next(14) * 4), 4, "bitmap directory");
        }
    }

    private void InTable(PagedStorage image)
    {
        int clusterBits = (int)(Field(image, 20, 4) & 31);
        long l1 = (long)Field(image, 40, 8);
        long table = (long)Field(image, 48, 8);
        long at = random.Next(6) switch
        {
            0 => l1,
            1 => table,
            2 => Follow(image, l1),
            3 => Follow(image, table),
            4 => Follow(image, l1),
            // any cluster, including the zone table and data
            _ => random.NextInt64(Math.Max(1, image.Length >> clusterBits)) << clusterBits,
        };
        if (at < 0 || at > image.Length)
        {
            return;
        }

        int entries = random.Next(3) == 0 ? 1 << Math.Max(0, clusterBits - 3) : 16;
        Put(image, at + (random.Next(Math.Min(entries, 8192)) * 8L), 8, "table");
    }

    private static long Follow(PagedStorage image, long table)
    {
        if (table < 0 || table > image.Length)
        {
            return -1;
        }

        Span<byte> entry = stackalloc byte[8];
        image.Read(table, entry);
        return (long)(BinaryPrimitives.ReadUInt64BigEndian(entry) & 0x00fffffffffffe00);
    }

    private void Cut(PagedStorage image)
    {
        long length = random.NextInt64(image.Length + 1);
        _done.Add($"cut to {length} bytes");
        image.SetLength(length);
    }

    private void Put(PagedStorage image, long at, int size, string where)
    {
        if (at + size > FuzzRun.MaxFile)
        {
            return;
        }

        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        image.Read(at, bytes[(8 - size)..]);
        ulong old = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        ulong value = Value(old, size, image.Length);
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        _done.Add($"{where}: {size} bytes at {at}: {old:x} to {value:x}");
        image.Write(at, bytes[(8 - size)..]);
    }

    private ulong Value(ulong old, int size, long length)
    {
        ulong mask = size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
        ulong value = random.Next(14) switch
        {
            0 => old ^ (1UL << random.Next(size * 8)),
            1 => 0,
            2 => mask,
            3 => mask >> 1,
            4 => (mask >> 1) + 1,
            5 => old + 1,
            6 => old - 1,
            7 => (ulong)length,
            8 => (ulong)(random.NextInt64(length + 1) & ~511L),
            9 => (old & 0xff00000000000000) | (ulong)(random.NextInt64(length + 1) & ~511L),
            10 => 1UL << random.Next(64),
            11 => (ulong)random.Next(256),
            12 => old * (ulong)random.Next(2, 9),
            _ => (ulong)random.NextInt64(),
        };
        return value & mask;
    }
}
