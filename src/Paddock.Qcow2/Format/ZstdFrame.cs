using System.Buffers.Binary;

namespace Paddock.Qcow2.Format;

/// <summary>
/// A Zstandard frame: where it ends, which a compressed cluster does not store (RFC 8878 3.1.1).
/// <code>
/// size    field
///    4    magic number 0xFD2FB528
///    1    descriptor: bits 0-1 size of the dictionary id, bit 2 checksum, bit 5 single segment, bits 6-7 size of the content size
///  0-1    window, unless single segment
///  0-4    dictionary id
///  0-8    content size
///   3+    blocks: bit 0 last, bits 1-2 type (1: one byte, repeated), then 21 bits of size, then the data
///  0-4    checksum
/// </code>
/// </summary>
internal static class ZstdFrame
{
    private const uint Magic = 0xFD2FB528;
    private const int MagicSize = 4, BlockHeader = 3, ChecksumSize = 4, Repeated = 1, Reserved = 3;
    private static readonly int[] DictionarySizes = [0, 1, 2, 4], ContentSizes = [0, 2, 4, 8];

    /// <summary>Size of the frame at the start of a buffer, in bytes; -1 if the buffer does not begin with a whole frame.</summary>
    public static int SizeOf(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length <= MagicSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
        {
            return -1;
        }

        int descriptor = bytes[MagicSize];
        bool isSingle = (descriptor & 0x20) != 0;
        int content = ContentSizes[descriptor >> 6];
        int at = MagicSize + 1 + (isSingle ? 0 : 1) + DictionarySizes[descriptor & 3] + (content == 0 && isSingle ? 1 : content);
        bool isLast = false;
        while (!isLast)
        {
            if (at > bytes.Length - BlockHeader)
            {
                return -1;
            }

            int block = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16), type = (block >> 1) & 3;
            if (type == Reserved)
            {
                return -1;
            }

            isLast = (block & 1) != 0;
            at += BlockHeader + (type == Repeated ? 1 : block >> 3);
        }

        at += (descriptor & 4) != 0 ? ChecksumSize : 0;
        return at <= bytes.Length ? at : -1;
    }
}
