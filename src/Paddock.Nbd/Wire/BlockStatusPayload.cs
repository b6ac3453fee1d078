using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of a BLOCK_STATUS request with PAYLOAD_LEN: the requested contexts.
/// <code>
/// offset size
///      0    8  length of the range
///      8   4n  numbers of contexts
/// </code>
/// </summary>
/// <param name="Effect">Length of the range in bytes.</param>
/// <param name="Contexts">Requested contexts.</param>
internal readonly record struct BlockStatusPayload(ulong Effect, uint[] Contexts)
{
    /// <summary>Bytes before the contexts.</summary>
    public const int HeadSize = sizeof(ulong);

    public static BlockStatusPayload Parse(ReadOnlySpan<byte> from)
    {
        NbdProtocolException.ExpectAtLeast(nameof(BlockStatusPayload), HeadSize, from.Length);
        if ((from.Length - HeadSize) % sizeof(uint) != 0)
        {
            throw new NbdProtocolException(nameof(BlockStatusPayload), HeadSize, $"{from.Length - HeadSize} bytes hold no whole numbers");
        }

        uint[] contexts = new uint[(from.Length - HeadSize) / sizeof(uint)];
        for (int i = 0; i < contexts.Length; i++)
        {
            contexts[i] = BinaryPrimitives.ReadUInt32BigEndian(from[(HeadSize + (i * sizeof(uint)))..]);
        }

        return new BlockStatusPayload(BinaryPrimitives.ReadUInt64BigEndian(from), contexts);
    }
}
