using System.Buffers.Binary;

namespace Paddock.Nbd.Wire;

/// <summary>
/// One extent of a block status chunk, which begins with the number of its context; the chunk's extended form has a count after that.
/// <code>
/// BLOCK_STATUS              BLOCK_STATUS_EXT
/// offset size               offset size
///      0    4  context           0    4  context
///      4    8  extents           4    4  how many extents
///                                8   16  extents
/// an extent:                an extent:
///      0    4  length            0    8  length
///      4    4  flags             8    8  flags
/// </code>
/// </summary>
/// <param name="Length">Length in bytes.</param>
/// <param name="Flags">Flags defined by the context.</param>
internal readonly record struct BlockStatusExtent(ulong Length, ulong Flags)
{
    /// <summary>Bytes before the extents of BLOCK_STATUS.</summary>
    public const int CompactHead = sizeof(uint);

    /// <summary>Bytes before the extents of BLOCK_STATUS_EXT.</summary>
    public const int ExtendedHead = CompactHead + sizeof(uint);

    /// <summary>Bytes of an extent of BLOCK_STATUS.</summary>
    public const int CompactSize = 2 * sizeof(uint);

    /// <summary>Bytes of an extent of BLOCK_STATUS_EXT.</summary>
    public const int ExtendedSize = 2 * sizeof(ulong);

    public static void WriteHead(Span<byte> to, uint context, uint count, bool extended)
    {
        BinaryPrimitives.WriteUInt32BigEndian(to, context);
        if (extended)
        {
            BinaryPrimitives.WriteUInt32BigEndian(to[CompactHead..], count);
        }
    }

    public void WriteTo(Span<byte> to, bool extended)
    {
        if (extended)
        {
            BinaryPrimitives.WriteUInt64BigEndian(to, Length);
            BinaryPrimitives.WriteUInt64BigEndian(to[sizeof(ulong)..], Flags);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(to, checked((uint)Length));
            BinaryPrimitives.WriteUInt32BigEndian(to[sizeof(uint)..], (uint)Flags);
        }
    }

    /// <summary>Merges the leading extents of a chunk that have the flags of the first one.</summary>
    /// <exception cref="NbdProtocolException">The payload has a partial extent, no extent, or one of length 0.</exception>
    public static (uint Context, BlockStatusExtent Run) ParseRun(ReadOnlySpan<byte> payload, bool extended)
    {
        int head = extended ? ExtendedHead : CompactHead, size = extended ? ExtendedSize : CompactSize;
        NbdProtocolException.ExpectAtLeast(nameof(BlockStatusExtent), head + size, payload.Length);
        if ((payload.Length - head) % size != 0)
        {
            throw new NbdProtocolException(nameof(BlockStatusExtent), head, $"{payload.Length - head} bytes hold no whole extents");
        }

        var run = default(BlockStatusExtent);
        for (var rest = payload[head..]; rest.Length > 0; rest = rest[size..])
        {
            var next = extended
                ? new BlockStatusExtent(
                    BinaryPrimitives.ReadUInt64BigEndian(rest), BinaryPrimitives.ReadUInt64BigEndian(rest[sizeof(ulong)..]))
                : new BlockStatusExtent(
                    BinaryPrimitives.ReadUInt32BigEndian(rest), BinaryPrimitives.ReadUInt32BigEndian(rest[sizeof(uint)..]));
            if (next.Length is 0 or > long.MaxValue)
            {
                throw new NbdProtocolException(
                    nameof(BlockStatusExtent), payload.Length - rest.Length, $"an extent of {next.Length} bytes");
            }

            if (run.Length != 0 && (next.Flags != run.Flags || run.Length + next.Length > long.MaxValue))
            {
                break;
            }

            run = next with { Length = run.Length + next.Length };
        }

        return (BinaryPrimitives.ReadUInt32BigEndian(payload), run);
    }
}
