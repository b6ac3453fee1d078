using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// Where the clusters of zone descriptor extensions lie (docs/formats/paddock-extension.md), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     magic: "PDKZXDIR"
/// 8       4     entries: number of entries
/// 12      4     zero
/// 16      8n    host offset of each cluster of extensions, cluster-aligned; 0: none of its zones ever had one
/// </code>
/// An entry changes by itself, in one sector, so there is no checksum over all of them: each cluster bears its own head.
/// </summary>
internal static class ZoneExtensionDirectory
{
    private const ulong Magic = 0x50444b5a58444952;
    private const int MagicAt = 0;
    private const int CountAt = MagicAt + sizeof(ulong);
    private const int EntriesAt = CountAt + (2 * sizeof(uint));

    /// <summary>Bytes of a directory.</summary>
    public static long SizeOf(uint entries) => EntryAt((int)entries);

    /// <summary>Where an entry lies in it.</summary>
    public static long EntryAt(int index) => EntriesAt + ((long)index * sizeof(ulong));

    /// <summary>
    /// Parses a directory; null, with the reason, if it is invalid. Entries that no cluster can have are left to the caller.
    /// </summary>
    public static HostOffset[]? TryParse(ReadOnlySpan<byte> directory, out string? problem)
    {
        int entries = (directory.Length - EntriesAt) / sizeof(ulong);
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(directory[MagicAt..]);
        uint count = BinaryPrimitives.ReadUInt32BigEndian(directory[CountAt..]);
        problem = magic != Magic ? $"its magic is 0x{magic:x}"
            : count != entries ? $"entries is {count}, and the extension says {entries}"
            : null;
        if (problem is not null)
        {
            return null;
        }

        var clusters = new HostOffset[entries];
        for (int i = 0; i < entries; i++)
        {
            clusters[i] = new(BinaryPrimitives.ReadInt64BigEndian(directory[(int)EntryAt(i)..]));
        }

        return clusters;
    }

    /// <summary>The directory of these clusters.</summary>
    public static byte[] Build(ReadOnlySpan<HostOffset> clusters)
    {
        var directory = new byte[SizeOf((uint)clusters.Length)];
        BinaryPrimitives.WriteUInt64BigEndian(directory.AsSpan(MagicAt), Magic);
        BinaryPrimitives.WriteUInt32BigEndian(directory.AsSpan(CountAt), (uint)clusters.Length);
        for (int i = 0; i < clusters.Length; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(directory.AsSpan((int)EntryAt(i)), clusters[i].Value);
        }

        return directory;
    }
}
