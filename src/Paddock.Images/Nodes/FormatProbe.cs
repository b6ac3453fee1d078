using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>
/// Recognizes image formats by their magic, as QEMU's drivers do in the first 512 bytes, and those that keep it in the last sector (dmg,
/// fixed-size vpc). Formats that Paddock cannot read are recognized too, so that their files are never taken for raw disks.
/// </summary>
internal static class FormatProbe
{
    /// <summary>Bytes at the beginning of a file that decide about its format.</summary>
    public const int HeadSize = 512;

    /// <summary>
    /// Bytes at the end of a file, rounded up to whole sectors, that decide about its format: a trailer need not begin at a sector.
    /// </summary>
    public const int TailSize = 1024;

    /// <summary>The format without a magic.</summary>
    public const string Raw = "raw";

    /// <summary>The format with a driver of its own.</summary>
    public const string Qcow2 = "qcow2";

    /// <summary>The format of LUKS disks.</summary>
    public const string Luks = "luks";

    private const long Sector = 512;
    private const int VdiMagicAt = 64, QcowVersionAt = 4, VhdTypeAt = 60;
    private const uint QcowMagic = 0x514649fb, VdiMagic = 0xbeda107f, LuksMagic = 0x4c554b53, FixedVhd = 2;
    private const ushort LuksMagicEnd = 0xbabe;

    /// <summary>The format of a file.</summary>
    public static async ValueTask<string> DetectAsync(IStorage storage, CancellationToken cancellationToken = default)
    {
        var head = new byte[HeadSize];
        await storage.ReadAsync(0, head, cancellationToken);
        string format = OfHead(head);
        if (format != Raw)
        {
            return format;
        }

        var tail = new byte[TailSize];
        await storage.ReadAsync(TailStart(storage.Length), tail, cancellationToken);
        return OfTail(tail);
    }

    /// <summary>Where the tail of a file of this length begins.</summary>
    public static long TailStart(long length) => Math.Max(0, ((length + Sector - 1) & -Sector) - TailSize);

    /// <summary>The format of a file; one that Paddock cannot read is refused.</summary>
    /// <exception cref="ToolException">It is in a format that Paddock cannot read.</exception>
    public static async ValueTask<string> DetectReadableAsync(IStorage storage, CancellationToken cancellationToken = default)
    {
        string format = await DetectAsync(storage, cancellationToken);
        return format is Raw or Qcow2 or Luks ? format : throw Refusal(storage.Name, format);
    }

    /// <summary>The refusal of a file in a format that Paddock cannot read.</summary>
    public static ToolException Refusal(string name, string format)
        => new($"'{name}' is a {format} image; Paddock reads raw, qcow2 and luks (specify the format raw to read the file's own bytes)");

    /// <summary>What the first bytes say.</summary>
    public static string OfHead(ReadOnlySpan<byte> block)
    {
        if (BinaryPrimitives.ReadUInt32BigEndian(block) == QcowMagic)
        {
            return BinaryPrimitives.ReadUInt32BigEndian(block[QcowVersionAt..]) == 1 ? "qcow" : Qcow2;
        }

        return block.StartsWith("KDMV"u8) || block.StartsWith("COWD"u8) || IsVmdkDescriptor(block) ? "vmdk"
            : BinaryPrimitives.ReadUInt32LittleEndian(block[VdiMagicAt..]) == VdiMagic ? "vdi"
            : block.StartsWith("vhdxfile"u8) ? "vhdx"
            : block.StartsWith("conectix"u8) ? "vpc"
            : block.StartsWith("QED\0"u8) ? "qed"
            : block.StartsWith("WithoutFreeSpace"u8) || block.StartsWith("WithouFreSpacExt"u8) ? "parallels"
            : block.StartsWith("Bochs Virtual HD Image"u8) ? "bochs"
            : block.StartsWith("#!/bin/sh\n#V2.0 Format\nmodprobe cloop"u8) ? "cloop"
            : BinaryPrimitives.ReadUInt32BigEndian(block) == LuksMagic && BinaryPrimitives.ReadUInt16BigEndian(block[4..]) == LuksMagicEnd
            ? Luks
            : Raw;
    }

    /// <summary>What the last bytes say of a file whose first bytes say nothing.</summary>
    public static string OfTail(ReadOnlySpan<byte> tail)
    {
        if (tail.IndexOf("koly\0\0\0\u0004\0\0\u0002\0"u8) >= 0)
        {
            return "dmg";
        }

        int footer = tail.IndexOf("conectix"u8);
        return footer >= 0 && footer + VhdTypeAt + sizeof(uint) <= tail.Length
            && BinaryPrimitives.ReadUInt32BigEndian(tail[(footer + VhdTypeAt)..]) == FixedVhd ? "vpc" : Raw;
    }

    // a text: comments and blank lines, then the version
    private static bool IsVmdkDescriptor(ReadOnlySpan<byte> block)
    {
        while (block.Length > 0)
        {
            int end = block.IndexOf((byte)'\n');
            var line = (end < 0 ? block : block[..end]).TrimEnd((byte)'\r');
            if (!line.StartsWith("#"u8) && line.ContainsAnyExcept((byte)' '))
            {
                return end >= 0 && IsVmdkVersion(line);
            }

            block = end < 0 ? [] : block[(end + 1)..];
        }

        return false;
    }

    private static bool IsVmdkVersion(ReadOnlySpan<byte> line)
        => line.SequenceEqual("version=1"u8) || line.SequenceEqual("version=2"u8) || line.SequenceEqual("version=3"u8);
}
