using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>A terminate request: the last PDU of a side that detected a fatal error.</summary>
/// <remarks>
/// <code>
/// 0   8   common header, HLEN = 24; it has no digest
/// 8   2   FES   fatal error status
/// 10  4   FEI   information
/// 14  10  reserved
/// 24  n   the header of the PDU that was at fault, at most 128 bytes
/// </code>
/// </remarks>
internal readonly record struct TerminatePdu(FatalError Error, uint Information)
{
    /// <summary>Reads a PDU whose header was checked.</summary>
    public static TerminatePdu Read(ReadOnlySpan<byte> from)
        => new((FatalError)BinaryPrimitives.ReadUInt16LittleEndian(from[8..]), BinaryPrimitives.ReadUInt32LittleEndian(from[10..]));

    /// <summary>Writes the PDU, followed by the header at fault.</summary>
    /// <returns>Its length.</returns>
    public int WriteTo(Span<byte> to, PduType type, ReadOnlySpan<byte> culprit)
    {
        culprit = culprit[..Math.Min(culprit.Length, PduHeader.MaxTerminate - PduHeader.ShortSize)];
        int length = PduHeader.ShortSize + culprit.Length;
        to[..length].Clear();
        new PduHeader(type, PduFlags.None, PduHeader.ShortSize, 0, (uint)length).WriteTo(to);
        BinaryPrimitives.WriteUInt16LittleEndian(to[8..], (ushort)Error);
        BinaryPrimitives.WriteUInt32LittleEndian(to[10..], Information);
        culprit.CopyTo(to[PduHeader.ShortSize..]);
        return length;
    }
}
