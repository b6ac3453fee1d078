using System.Buffers.Binary;
using System.Numerics;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of an INFO reply of type BLOCK_SIZE.
/// <code>
/// offset size
///      0    2  3: type BLOCK_SIZE
///      2    4  smallest block: a power of two, at most 64 KiB
///      6    4  preferred block: a power of two, at least 512
///     10    4  longest payload
/// </code>
/// </summary>
/// <param name="Minimum">Minimum block size; offsets and lengths are multiples of it.</param>
/// <param name="Preferred">Preferred block size.</param>
/// <param name="Maximum">Maximum length of a read or write.</param>
internal readonly record struct BlockSizeInfo(uint Minimum, uint Preferred, uint Maximum)
{
    private const int MinimumAt = sizeof(ushort);
    private const int PreferredAt = MinimumAt + sizeof(uint);
    private const int MaximumAt = PreferredAt + sizeof(uint);
    private const uint LargestMinimum = 65536;

    /// <summary>Bytes.</summary>
    public const int Size = MaximumAt + sizeof(uint);

    /// <exception cref="NbdProtocolException">A size violates the protocol.</exception>
    public static BlockSizeInfo Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectLength(nameof(BlockSizeInfo), Size, from.Length);
        var info = new BlockSizeInfo(
            BinaryPrimitives.ReadUInt32BigEndian(from[MinimumAt..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[PreferredAt..]),
            BinaryPrimitives.ReadUInt32BigEndian(from[MaximumAt..]));
        if (!BitOperations.IsPow2(info.Minimum) || info.Minimum > LargestMinimum)
        {
            throw new NbdProtocolException(nameof(BlockSizeInfo), MinimumAt, $"the smallest block is {info.Minimum} bytes");
        }

        if (!BitOperations.IsPow2(info.Preferred) || info.Preferred < info.Minimum)
        {
            throw new NbdProtocolException(nameof(BlockSizeInfo), PreferredAt, $"the preferred block is {info.Preferred} bytes");
        }

        return info.Maximum >= info.Minimum
            ? info : throw new NbdProtocolException(nameof(BlockSizeInfo), MaximumAt, $"the longest payload is {info.Maximum} bytes");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)InfoType.BlockSize);
        BinaryPrimitives.WriteUInt32BigEndian(to[MinimumAt..], Minimum);
        BinaryPrimitives.WriteUInt32BigEndian(to[PreferredAt..], Preferred);
        BinaryPrimitives.WriteUInt32BigEndian(to[MaximumAt..], Maximum);
    }
}
