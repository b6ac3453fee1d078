using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>Initialize connection request and response, which differ in the meaning of two fields.</summary>
/// <remarks>
/// <code>
/// 0    8    common header, HLEN = PLEN = 128
/// 8    2    PFV       PDU format version, 0
/// 10   1    HPDA/CPDA data alignment in 4 bytes, 0's based
/// 11   1    DGST      bit 0 header digest, bit 1 data digest
/// 12   4    MAXR2T (request: outstanding R2Ts, 0's based) or MAXH2CDATA (response: bytes)
/// 16   112  reserved
/// </code>
/// </remarks>
internal readonly record struct InitializePdu(ushort FormatVersion, byte DataAlignment, byte Digests, uint Limit)
{
    /// <summary>Offset of PFV, for a refusal.</summary>
    public const uint FormatVersionField = 8;

    /// <summary>Offset of HPDA or CPDA.</summary>
    public const uint DataAlignmentField = 10;

    /// <summary>Greatest data alignment value.</summary>
    public const int MaxDataAlignment = 31;

    /// <summary>Bit of the header digest.</summary>
    public const byte HeaderDigestBit = 1;

    /// <summary>Bit of the data digest.</summary>
    public const byte DataDigestBit = 2;

    /// <summary>Whether header digests are asked for.</summary>
    public bool HeaderDigest => (Digests & HeaderDigestBit) != 0;

    /// <summary>Whether data digests are asked for.</summary>
    public bool DataDigest => (Digests & DataDigestBit) != 0;

    /// <summary>Reads a PDU whose header was checked.</summary>
    public static InitializePdu Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt16LittleEndian(from[8..]), from[10], from[11], BinaryPrimitives.ReadUInt32LittleEndian(from[12..]));

    /// <summary>Writes 128 bytes.</summary>
    public void WriteTo(Span<byte> to, PduType type)
    {
        to[..PduHeader.InitializeSize].Clear();
        new PduHeader(type, PduFlags.None, PduHeader.InitializeSize, 0, PduHeader.InitializeSize).WriteTo(to);
        BinaryPrimitives.WriteUInt16LittleEndian(to[8..], FormatVersion);
        to[10] = DataAlignment;
        to[11] = Digests;
        BinaryPrimitives.WriteUInt32LittleEndian(to[12..], Limit);
    }
}
