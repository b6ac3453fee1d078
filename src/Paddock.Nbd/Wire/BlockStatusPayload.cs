using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// The payload of a BLOCK_STATUS request with PAYLOAD_LEN: for which contexts status is wanted.
/// <code>
/// offset size
///      0    8  length of the range that is asked about
///      8   4n  numbers of contexts
/// </code>
/// </summary>
/// <param name="Effect">Bytes that are asked about.</param>
/// <param name="Contexts">The contexts that are asked for.</param>
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
