using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>Flags of a persistent bitmap (bytes 12 to 15 of its directory entry).</summary>
[Flags]
internal enum BitmapFlags : uint
{
    None = 0,

    /// <summary>A program has it in memory, or had and did not store it: its bits on the storage are stale.</summary>
    InUse = 1,

    /// <summary>It records every change of the disk.</summary>
    Auto = 2,

    /// <summary>It may be used by a program that does not know its extra data.</summary>
    ExtraDataCompatible = 4,

    Known = InUse | Auto | ExtraDataCompatible,
}

/// <summary>One entry of the bitmap directory.</summary>
/// <param name="Table">Offset of the bitmap table in bytes.</param>
/// <param name="TableEntries">Entries of the table, one for each cluster of bits.</param>
/// <param name="Flags">The flags.</param>
/// <param name="GranularityBits">log2 of the granularity in bytes.</param>
/// <param name="Name">The name.</param>
/// <param name="Extra">Extra data, kept as they are.</param>
internal sealed record BitmapEntry(
    HostOffset Table, uint TableEntries, BitmapFlags Flags, int GranularityBits, string Name, byte[] Extra)
{
    /// <summary>Whether its bits are stale.</summary>
    public bool IsInUse => (Flags & BitmapFlags.InUse) != 0;
}

/// <summary>
/// The directory of persistent bitmaps: entries, each padded to a multiple of 8.
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     bitmap table offset
/// 8       4     bitmap table entries
/// 12      4     flags
/// 16      1     type: 1, a dirty bitmap
/// 17      1     log2 of the granularity
/// 18      2     bytes of the name
/// 20      4     bytes of extra data
/// 24            extra data, then the name
/// </code>
/// </summary>
internal static class BitmapDirectory
{
    private const int HeadSize = 24, EntriesAt = 8, FlagsAt = 12, TypeAt = 16, GranularityAt = 17, NameAt = 18, ExtraAt = 20;
    private const byte DirtyBitmap = 1;

    /// <summary>Reads and validates a directory.</summary>
    /// <param name="storage">The storage.</param>
    /// <param name="extension">Offset of the directory in bytes.</param>
    /// <param name="header">The image's header.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <exception cref="BlockException">An entry is beyond its limits, or the entries do not fill the directory.</exception>
    public static async ValueTask<List<BitmapEntry>> ReadAsync(
        IStorage storage, BitmapExtension extension, Qcow2Header header, CancellationToken cancellationToken)
    {
        if (extension.Bytes == 0)
        {
            throw Bad("Requested bitmap directory size is zero");
        }

        if (extension.Directory.Value >= storage.Length)
        {
            throw Bad("Broken bitmap directory");
        }

        var bytes = new byte[extension.Bytes];
        await storage.ReadAsync(extension.Directory.Value, bytes, cancellationToken);
        return Parse(bytes, extension.Count, header);
    }

    /// <summary>Parses a whole directory.</summary>
    /// <exception cref="BlockException">An entry is beyond its limits, or the entries do not fill the directory.</exception>
    public static List<BitmapEntry> Parse(ReadOnlySpan<byte> bytes, uint count, Qcow2Header header)
    {
        var list = new List<BitmapEntry>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        while (bytes.Length > 0)
        {
            if (bytes.Length < HeadSize)
            {
                throw Bad("Broken bitmap directory");
            }

            if (list.Count == count)
            {
                throw Bad("More bitmaps found than specified in header extension");
            }

            int name = BinaryPrimitives.ReadUInt16BigEndian(bytes[NameAt..]);
            uint extra = BinaryPrimitives.ReadUInt32BigEndian(bytes[ExtraAt..]);
            long size = SizeOf(name, extra);
            if (size > bytes.Length)
            {
                throw Bad("Broken bitmap directory");
            }

            var entry = ParseEntry(bytes[..(int)size], name, (int)extra, header);
            if (!names.Add(entry.Name))
            {
                throw Bad($"Bitmap already exists: {entry.Name}");
            }

            list.Add(entry);
            bytes = bytes[(int)size..];
        }

        return list.Count == count ? list : throw Bad("Less bitmaps found than specified in header extension");
    }

    /// <summary>The bytes of a directory.</summary>
    public static byte[] Build(IReadOnlyList<BitmapEntry> entries)
    {
        var bytes = new byte[entries.Sum(static e => SizeOf(ByteText.ToBytes(e.Name).Length, e.Extra.Length))];
        var at = bytes.AsSpan();
        foreach (var entry in entries)
        {
            byte[] name = ByteText.ToBytes(entry.Name);
            BinaryPrimitives.WriteInt64BigEndian(at, entry.Table.Value);
            BinaryPrimitives.WriteUInt32BigEndian(at[EntriesAt..], entry.TableEntries);
            BinaryPrimitives.WriteUInt32BigEndian(at[FlagsAt..], (uint)entry.Flags);
            at[TypeAt] = DirtyBitmap;
            at[GranularityAt] = (byte)entry.GranularityBits;
            BinaryPrimitives.WriteUInt16BigEndian(at[NameAt..], (ushort)name.Length);
            BinaryPrimitives.WriteUInt32BigEndian(at[ExtraAt..], (uint)entry.Extra.Length);
            entry.Extra.CopyTo(at[HeadSize..]);
            name.CopyTo(at[(HeadSize + entry.Extra.Length)..]);
            at = at[(int)SizeOf(name.Length, entry.Extra.Length)..];
        }

        return bytes;
    }

    /// <summary>Bytes of an entry.</summary>
    public static long SizeOf(int nameBytes, long extraBytes) => (HeadSize + extraBytes + nameBytes + 7) & ~7L;

    private static BitmapEntry ParseEntry(ReadOnlySpan<byte> bytes, int nameBytes, int extraBytes, Qcow2Header header)
    {
        var flags = (BitmapFlags)BinaryPrimitives.ReadUInt32BigEndian(bytes[FlagsAt..]);
        if (extraBytes != 0 && (flags & BitmapFlags.ExtraDataCompatible) == 0)
        {
            throw Bad("Bitmap extra data is not supported");
        }

        string name = ByteText.FromBytes(bytes.Slice(HeadSize + extraBytes, nameBytes));
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        uint entries = BinaryPrimitives.ReadUInt32BigEndian(bytes[EntriesAt..]);
        int granularity = bytes[GranularityAt];
        var geometry = header.Geometry;
        bool isSound = entries is not 0 && offset is not 0 and <= long.MaxValue && geometry.InCluster((long)offset) == 0
            && entries <= Qcow2Limits.MaxBitmapTableEntries
            && granularity is >= Qcow2Limits.MinBitmapGranularityBits and <= Qcow2Limits.MaxBitmapGranularityBits
            && (flags & ~BitmapFlags.Known) == 0 && nameBytes <= Qcow2Limits.MaxBitmapNameBytes && bytes[TypeAt] == DirtyBitmap
            && geometry.BytesIn(entries) <= Qcow2Limits.MaxBitmapBytes;
        bool isCovered = (flags & BitmapFlags.InUse) != 0
            || (isSound && (UInt128)header.VirtualSize <= (UInt128)(ulong)geometry.BytesIn(entries) * 8 << granularity);
        return isSound && isCovered
            ? new BitmapEntry(
                new HostOffset((long)offset), entries, flags, granularity, name, bytes.Slice(HeadSize, extraBytes).ToArray())
            : throw Bad($"Bitmap '{name}' doesn't satisfy the constraints");
    }

    private static BlockException Bad(string message) => new(BlockError.InvalidArgument, message);
}
