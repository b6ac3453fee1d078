using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>The header of host data, controller data and ready to transfer, which have one shape.</summary>
/// <remarks>
/// <code>
/// 0   8  common header, HLEN = 24
/// 8   2  CCCID        the command's identifier
/// 10  2  TTAG         the transfer's tag, which the controller chose; reserved in controller data
/// 12  4  DATAO/R2TO   offset in the command's data
/// 16  4  DATAL/R2TL   bytes
/// 20  4  reserved
/// </code>
/// </remarks>
internal readonly record struct DataPdu(ushort CommandId, ushort TransferTag, uint Offset, uint Length)
{
    /// <summary>Offset of TTAG, for a refusal.</summary>
    public const uint TransferTagField = 10;

    /// <summary>Offset of DATAO.</summary>
    public const uint OffsetField = 12;

    /// <summary>Offset of DATAL.</summary>
    public const uint LengthField = 16;

    /// <summary>Reads a PDU whose header was checked.</summary>
    public static DataPdu Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt16LittleEndian(from[8..]),
        BinaryPrimitives.ReadUInt16LittleEndian(from[10..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[12..]),
        BinaryPrimitives.ReadUInt32LittleEndian(from[16..]));

    /// <summary>Writes 24 bytes.</summary>
    public void WriteTo(Span<byte> to, in PduHeader header)
    {
        header.WriteTo(to);
        BinaryPrimitives.WriteUInt16LittleEndian(to[8..], CommandId);
        BinaryPrimitives.WriteUInt16LittleEndian(to[10..], TransferTag);
        BinaryPrimitives.WriteUInt32LittleEndian(to[12..], Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(to[16..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], 0);
    }
}
