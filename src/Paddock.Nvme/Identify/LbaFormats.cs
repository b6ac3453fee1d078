using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>The block formats that a namespace may have: format 0 with 512 bytes, format 1 with 4096; none has metadata.</summary>
internal static class LbaFormats
{
    /// <summary>Number of formats.</summary>
    public const int Count = 2;

    private const int NumberField = 25, FirstField = 128, FormatSize = 4, ShiftField = 2, ZonedField = 2816, ZonedSize = 16;

    private static readonly byte[] _shifts = [9, 12];

    /// <summary>Base-2 logarithm of the block size of a format; null: there is no such format.</summary>
    public static int? ShiftOf(int index) => (uint)index < Count ? _shifts[index] : null;

    /// <summary>The format with this block size.</summary>
    public static byte IndexOf(int blockShift) => (byte)Array.IndexOf(_shifts, (byte)blockShift);

    /// <summary>
    /// Writes all formats into Identify Namespace: NLBAF, 0's based (1 byte at 25), and for each 4 bytes from 128 on: MS (2), LBADS (1),
    /// RP (1).
    /// </summary>
    public static void WriteAll(Span<byte> to)
    {
        to[NumberField] = Count - 1;
        for (int i = 0; i < Count; i++)
        {
            to[FirstField + (FormatSize * i) + ShiftField] = _shifts[i];
        }
    }

    /// <summary>Writes one format.</summary>
    public static void WriteOne(Span<byte> to, int blockShift) => to[FirstField + ShiftField] = (byte)blockShift;

    /// <summary>Writes the extensions of all formats for zones: 16 bytes each from 2816 on: ZSZE (8), ZDES in 64 bytes (1).</summary>
    public static void WriteZoned(Span<byte> to, long zoneSize, int extensionBytes)
    {
        for (int i = 0; i < Count; i++)
        {
            WriteZoned(to, i, zoneSize, _shifts[i], extensionBytes);
        }
    }

    /// <summary>Writes the extension of one format.</summary>
    public static void WriteZoned(Span<byte> to, int index, long zoneSize, int blockShift, int extensionBytes)
    {
        var f = new Fields(to);
        f.U64(ZonedField + (ZonedSize * index), (ulong)(zoneSize >> blockShift));
        f.U8(ZonedField + (ZonedSize * index) + 8, (byte)(extensionBytes / 64));
    }
}
