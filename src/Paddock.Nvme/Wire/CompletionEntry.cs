using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>A completion (NVMe base 2.0, 3.3.3.2).</summary>
/// <remarks>
/// <code>
/// 0   8  DW0, DW1   what the command returns
/// 8   2  SQHD       head of the submission queue
/// 10  2  SQID       the submission queue; reserved over fabrics
/// 12  2  CID
/// 14  2  phase (0; unused over fabrics), status code (8:1), type (11:9), CRD (13:12), more (14), do not retry (15)
/// </code>
/// </remarks>
internal readonly record struct CompletionEntry(ulong Result, ushort QueueHead, ushort CommandId, NvmeStatus Status, bool Retry = false)
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    private const ushort DoNotRetry = 0x8000;

    /// <summary>The submission queue.</summary>
    public ushort QueueId { get; init; }

    /// <summary>Changes with each pass through the queue, so that the host recognizes a new entry.</summary>
    public bool Phase { get; init; }

    /// <summary>Bytes 14 and 15, without the phase.</summary>
    public ushort StatusField => (ushort)(((int)Status << 1) | (Status == NvmeStatus.Success || Retry ? 0 : DoNotRetry));

    /// <summary>Reads 16 bytes.</summary>
    public static CompletionEntry Read(ReadOnlySpan<byte> from)
    {
        ushort status = BinaryPrimitives.ReadUInt16LittleEndian(from[14..]);
        return new(
            BinaryPrimitives.ReadUInt64LittleEndian(from),
            BinaryPrimitives.ReadUInt16LittleEndian(from[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(from[12..]),
            (NvmeStatus)((status >> 1) & 0x7FF),
            (status & DoNotRetry) == 0)
        {
            QueueId = BinaryPrimitives.ReadUInt16LittleEndian(from[10..]),
            Phase = (status & 1) != 0,
        };
    }

    /// <summary>Writes 16 bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, Result);
        BinaryPrimitives.WriteUInt16LittleEndian(to[8..], QueueHead);
        BinaryPrimitives.WriteUInt16LittleEndian(to[10..], QueueId);
        BinaryPrimitives.WriteUInt16LittleEndian(to[12..], CommandId);
        BinaryPrimitives.WriteUInt16LittleEndian(to[14..], (ushort)(StatusField | (Phase ? 1 : 0)));
    }
}
