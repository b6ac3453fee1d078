using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The table of a persistent bitmap: one entry of 8 bytes for each cluster of bits, bit 0 of byte 0 first.
/// <code>
/// BITS    MEANING
/// 0       with no offset: all bits of the cluster are ones; else reserved
/// 1-8     reserved
/// 9-55    offset of the cluster; 0: it is not stored, and its bits are zeroes, or ones as bit 0 says
/// 56-63   reserved
/// </code>
/// </summary>
internal static class BitmapTable
{
    public const int EntrySize = 8;

    /// <summary>The entry of a cluster of zeroes.</summary>
    public const ulong AllZeroes = 0;

    /// <summary>The entry of a cluster of ones.</summary>
    public const ulong AllOnes = 1;

    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00, ReservedMask = 0xff00_0000_0000_01fe;

    /// <summary>Where the bits lie; none if they are not stored.</summary>
    public static HostOffset OffsetOf(ulong entry) => new((long)(entry & OffsetMask));

    /// <summary>Whether an entry can be one.</summary>
    public static bool IsValid(ulong entry, ClusterGeometry geometry)
        => (entry & ReservedMask) == 0
            && (OffsetOf(entry).IsNone || ((entry & AllOnes) == 0 && geometry.InCluster(OffsetOf(entry)) == 0));

    /// <summary>Reads and validates a table.</summary>
    /// <exception cref="ImageCorruptException">An entry is invalid, or the table or a cluster lies outside the file.</exception>
    public static async ValueTask<ulong[]> ReadAsync(
        IStorage storage, BitmapEntry bitmap, ClusterGeometry geometry, CancellationToken cancellationToken)
    {
        long length = storage.Length;
        if (bitmap.Table.Value > length - ((long)bitmap.TableEntries * EntrySize))
        {
            throw new ImageCorruptException("bitmap table", bitmap.Table, "it ends beyond the end of the file");
        }

        var bytes = new byte[(long)bitmap.TableEntries * EntrySize];
        await storage.ReadAsync(bitmap.Table.Value, bytes, cancellationToken);
        var entries = new ulong[bitmap.TableEntries];
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * EntrySize));
            if (!IsValid(entries[i], geometry) || OffsetOf(entries[i]).Value >= length)
            {
                throw new ImageCorruptException("bitmap table", bitmap.Table, $"entry {i} is invalid: 0x{entries[i]:x}");
            }
        }

        return entries;
    }

    /// <summary>The bytes of a table.</summary>
    public static byte[] Build(ReadOnlySpan<ulong> entries)
    {
        var bytes = new byte[entries.Length * EntrySize];
        for (int i = 0; i < entries.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * EntrySize), entries[i]);
        }

        return bytes;
    }
}
