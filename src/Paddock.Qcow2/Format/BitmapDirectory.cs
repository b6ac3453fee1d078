using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// Persistent bitmaps: the header extension names a directory of entries, each padded to a multiple of 8.
/// <code>
/// EXTENSION                          ENTRY
/// 0-3    bitmaps                     0-7    bitmap table offset
/// 4-7    reserved                    8-11   bitmap table entries
/// 8-15   bytes of the directory      12-15  flags: bit 0 in use, bit 1 auto
/// 16-23  directory offset            16     type
///                                    17     bits of the granularity
///                                    18-19  bytes of the name
///                                    20-23  bytes of extra data, which come before the name
/// </code>
/// </summary>
internal static class BitmapDirectory
{
    /// <summary>Most bitmaps that are listed; an image may have 65535.</summary>
    public const int MaxListed = 1000;

    private const int ExtensionSize = 24, EntrySize = 24, MaxGranularityBits = 31, MaxName = 1023, MaxExtra = 1024;
    private const uint InUse = 1, Auto = 2;

    /// <summary>
    /// How many bitmaps an image has; 0 where they are stale, because a program wrote to the image that does not know them.
    /// </summary>
    public static uint Count(Qcow2Header header, IEnumerable<HeaderExtension> extensions)
        => Find(header, extensions) is { } extension ? BinaryPrimitives.ReadUInt32BigEndian(extension) : 0;

    /// <summary>Lists an image's bitmaps, up to the first entry that cannot be one.</summary>
    public static async ValueTask<List<Qcow2BitmapInfo>> ReadAsync(
        IStorage storage, Qcow2Header header, IEnumerable<HeaderExtension> extensions, CancellationToken cancellationToken)
    {
        var list = new List<Qcow2BitmapInfo>();
        uint count = Math.Min(Count(header, extensions), MaxListed);
        if (count == 0)
        {
            return list;
        }

        long at = BinaryPrimitives.ReadInt64BigEndian(Find(header, extensions).AsSpan(16));
        var head = new byte[EntrySize];
        for (uint i = 0; i < count && at > 0 && at < storage.Length; i++)
        {
            await storage.ReadAsync(at, head, cancellationToken);
            int nameLength = BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(18)), bits = head[17];
            uint flags = BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(12)),
                extra = BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(20));
            if (nameLength is 0 or > MaxName || extra > MaxExtra || bits > MaxGranularityBits)
            {
                break;
            }

            var name = new byte[nameLength];
            await storage.ReadAsync(at + EntrySize + extra, name, cancellationToken);
            list.Add(new Qcow2BitmapInfo(ByteText.FromBytes(name), 1L << bits, (flags & InUse) != 0, (flags & Auto) != 0));
            at += (EntrySize + extra + nameLength + 7) & ~7L;
        }

        return list;
    }

    private static byte[]? Find(Qcow2Header header, IEnumerable<HeaderExtension> extensions)
        => (header.Autoclear & AutoclearFeatures.Bitmaps) == 0 ? null
            : extensions.FirstOrDefault(static e => e.Type == HeaderExtension.Bitmaps && e.Data.Length >= ExtensionSize)?.Data;
}
