using System.Buffers.Binary;

namespace Paddock.Qcow2.Format;

/// <summary>
/// Entries of a refcount block (qcow2 specification, "Host cluster management"): 1 to 64 bits wide, big-endian; entries below a byte fill
/// it from its least significant bit.
/// </summary>
internal static class RefcountCodec
{
    /// <summary>Entry <paramref name="index"/> of a block, or of a part of one.</summary>
    public static ulong Get(ReadOnlySpan<byte> block, int index, int order) => order switch
    {
        4 => BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]),
        3 => block[index],
        5 => BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]),
        6 => BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]),
        _ => (ulong)(block[(index << order) >> 3] >> ((index << order) & 7)) & ((1UL << (1 << order)) - 1),
    };

    /// <summary>Sets entry <paramref name="index"/>; the value must fit the width.</summary>
    public static void Set(Span<byte> block, int index, int order, ulong value)
    {
        switch (order)
        {
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value);
                break;
            case 3:
                block[index] = (byte)value;
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value);
                break;
            case 6:
                BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value);
                break;
            default:
                int shift = (index << order) & 7;
                int mask = ((1 << (1 << order)) - 1) << shift;
                ref byte cell = ref block[(index << order) >> 3];
                cell = (byte)((cell & ~mask) | ((int)value << shift));
                break;
        }
    }
}
