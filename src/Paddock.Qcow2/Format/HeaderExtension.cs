using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// One header extension (qcow2 specification, "Header extensions"):
/// <code>
/// OFFSET  SIZE    MEANING
/// 0       4       type
/// 4       4       length of the data
/// 8       length  data, padded with zeroes to a multiple of 8
/// </code>
/// </summary>
/// <param name="Type">What it is; unknown ones are kept as they are.</param>
/// <param name="Data">The data without padding.</param>
internal sealed record HeaderExtension(uint Type, byte[] Data)
{
    public const int HeadSize = 8;
    public const uint End = 0;
    public const uint BackingFormat = 0xe2792aca;
    public const uint FeatureNames = 0x6803f857;
    public const uint Bitmaps = 0x23852875;
    public const uint FullDiskEncryption = 0x0537be77;
    public const uint ExternalDataFile = 0x44415441;
    public const uint Zoned = 0x007a6264;

    /// <summary>Paddock's own (spec section 1.4).</summary>
    public const uint Paddock = 0x5044434b;

    /// <summary>
    /// Paddock's filler, "PDKF": zeroes that keep its other extension inside one sector (docs/formats/paddock-extension.md).
    /// </summary>
    public const uint PaddockFiller = 0x50444b46;

    /// <summary>
    /// Paddock's blocks, "PDKB": shared clusters and unreadable ranges (docs/formats/paddock-extension.md).
    /// </summary>
    public const uint PaddockBlocks = 0x50444b42;

    /// <summary>Bytes that it takes in the header.</summary>
    public int TotalSize => HeadSize + ((Data.Length + 7) & ~7);

    /// <summary>Reads the list that fills the span up to its end mark, or up to the span's end.</summary>
    /// <exception cref="BlockException">An extension is longer than what is left, or than its limit.</exception>
    public static List<HeaderExtension> ParseAll(ReadOnlySpan<byte> bytes)
    {
        var list = new List<HeaderExtension>();
        while (bytes.Length > 0)
        {
            if (bytes.Length < HeadSize)
            {
                throw TooLarge();
            }

            uint type = BinaryPrimitives.ReadUInt32BigEndian(bytes);
            if (type == End)
            {
                break;
            }

            uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]);
            if (length > bytes.Length - HeadSize)
            {
                throw TooLarge();
            }

            if (type == BackingFormat && length > Qcow2Limits.MaxBackingFormatBytes)
            {
                throw new BlockException(
                    BlockError.InvalidArgument,
                    $"ERROR: ext_backing_format: len={length} too large (>={Qcow2Limits.MaxBackingFormatBytes + 1})");
            }

            var extension = new HeaderExtension(type, bytes.Slice(HeadSize, (int)length).ToArray());
            list.Add(extension);
            bytes = bytes[Math.Min(bytes.Length, extension.TotalSize)..];
        }

        return list;
    }

    private static BlockException TooLarge() => new(BlockError.InvalidArgument, "Header extension too large");

    /// <summary>
    /// The extensions in the order in which a whole first cluster is written: QEMU's, with the zones early, so that they share the first
    /// sector with the header. Paddock's own is kept inside one sector by a filler.
    /// </summary>
    /// <param name="extensions">The extensions; fillers are left out.</param>
    /// <param name="start">Where the first one begins.</param>
    public static List<HeaderExtension> InOrder(IEnumerable<HeaderExtension> extensions, int start)
    {
        const int sector = 512;
        var list = new List<HeaderExtension>();
        foreach (var extension in extensions.Where(static e => e.Type != PaddockFiller).OrderBy(static e => PlaceOf(e.Type)))
        {
            int inSector = (start + HeadSize) % sector;
            if (extension.Type == Paddock && inSector + extension.Data.Length > sector)
            {
                // the head stays in this sector, the data begin with the next one
                list.Add(new HeaderExtension(PaddockFiller, new byte[sector - inSector - HeadSize]));
                start += list[^1].TotalSize;
            }

            list.Add(extension);
            start += extension.TotalSize;
        }

        return list;
    }

    private static int PlaceOf(uint type) => type switch
    {
        BackingFormat => 0,
        ExternalDataFile => 1,
        FullDiskEncryption => 2,
        Zoned => 3,
        FeatureNames => 4,
        Bitmaps => 5,
        _ => 6,
    };

    /// <summary>Writes the list and its end mark; returns the bytes taken. What lies behind must be zeroes.</summary>
    public static int WriteAll(IEnumerable<HeaderExtension> list, Span<byte> bytes)
    {
        int at = 0;
        foreach (var extension in list)
        {
            if (bytes.Length - at < extension.TotalSize + HeadSize)
            {
                throw new BlockException(BlockError.NoSpace, "the header extensions do not fit the first cluster");
            }

            extension.WriteTo(bytes[at..]);
            at += extension.TotalSize;
        }

        return at + HeadSize;
    }

    /// <summary>Writes the extension; its padding is left as it is.</summary>
    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Type);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[sizeof(uint)..], (uint)Data.Length);
        Data.CopyTo(bytes[HeadSize..]);
    }
}
