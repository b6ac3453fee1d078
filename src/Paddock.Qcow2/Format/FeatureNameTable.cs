using System.Text;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The feature name table (header extension 0x6803f857), 48 bytes an entry:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       1     kind: 0 incompatible, 1 compatible, 2 autoclear
/// 1       1     bit number
/// 2       46    name, padded with zeroes
/// </code>
/// </summary>
internal static class FeatureNameTable
{
    public const int EntrySize = 48;

    /// <summary>QEMU writes no table into first clusters of this size and below: the room is wanted for the backing file's name.</summary>
    private const int SmallCluster = 4096;

    private const int NameAt = 2;

    private static readonly (byte Kind, byte Bit, string Name)[] Plain =
    [
        (0, 0, "dirty bit"), (0, 1, "corrupt bit"), (0, 2, "external data file"), (0, 3, "compression type"), (0, 4, "extended L2 entries"),
        (1, 0, "lazy refcounts"), (2, 0, "bitmaps"), (2, 1, "raw external data"),
    ];

    /// <summary>The table that new images get; zoned ones have an entry more (spec section 1.1).</summary>
    public static byte[] Build(bool zoned)
    {
        var entries = zoned ? [.. Plain[..5], ((byte)0, (byte)5, "zoned format"), .. Plain[5..]] : Plain;
        var table = new byte[entries.Length * EntrySize];
        for (int i = 0; i < entries.Length; i++)
        {
            var entry = table.AsSpan(i * EntrySize, EntrySize);
            (entry[0], entry[1], var name) = entries[i];
            Encoding.ASCII.GetBytes(name, entry[NameAt..]);
        }

        return table;
    }

    /// <summary>True when a new image with clusters of this many bytes gets a table.</summary>
    public static bool FitsCluster(int clusterSize) => clusterSize > SmallCluster;

    /// <summary>Names of the set bits of one kind, as a refusal lists them; bits that no entry names come last, as a number.</summary>
    public static string Describe(ReadOnlySpan<byte> table, byte kind, ulong bits)
    {
        var names = new List<string>();

        // the last entry may be short: the rest of it is zeroes; an empty name ends the table
        for (; table.Length > NameAt && table[NameAt] != 0; table = table[Math.Min(EntrySize, table.Length)..])
        {
            if (table[0] == kind && table[1] < 64 && (bits & (1UL << table[1])) != 0)
            {
                var name = table[NameAt..Math.Min(EntrySize, table.Length)];
                int end = name.IndexOf((byte)0);
                names.Add(EscapedText.Escape(Encoding.UTF8.GetString(end < 0 ? name : name[..end])));
                bits &= ~(1UL << table[1]);
            }
        }

        if (bits != 0)
        {
            names.Add($"Unknown incompatible feature: {bits:x}");
        }

        return string.Join(", ", names);
    }
}
