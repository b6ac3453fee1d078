using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>Kinds of PDU (NVMe/TCP transport 1.0, 3.6.1).</summary>
internal enum PduType : byte
{
    /// <summary>Initialize connection request.</summary>
    InitializeRequest = 0,

    /// <summary>Initialize connection response.</summary>
    InitializeResponse = 1,

    /// <summary>The host ends the connection.</summary>
    HostTerminate = 2,

    /// <summary>The controller ends the connection.</summary>
    ControllerTerminate = 3,

    /// <summary>A command, with its data where the data fits.</summary>
    Command = 4,

    /// <summary>A completion.</summary>
    Response = 5,

    /// <summary>Data to the controller.</summary>
    HostData = 6,

    /// <summary>Data to the host.</summary>
    ControllerData = 7,

    /// <summary>Ready to transfer: requests data.</summary>
    ReadyToTransfer = 9,
}

/// <summary>Bits of a PDU's FLAGS byte.</summary>
[Flags]
internal enum PduFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>A header digest follows the header.</summary>
    HeaderDigest = 1,

    /// <summary>A data digest follows the data.</summary>
    DataDigest = 2,

    /// <summary>The last data PDU of a transfer.</summary>
    Last = 4,

    /// <summary>The command succeeded: no response PDU follows.</summary>
    Success = 8,
}

/// <summary>Common header of all PDUs.</summary>
/// <remarks>
/// <code>
/// 0  1  PDU-Type
/// 1  1  FLAGS
/// 2  1  HLEN   length of the header, without its digest
/// 3  1  PDO    where data starts in the PDU; 0 without data
/// 4  4  PLEN   length of the whole PDU, digests included
/// </code>
/// </remarks>
internal readonly record struct PduHeader(PduType Type, PduFlags Flags, byte HeaderLength, byte DataOffset, uint Length)
{
    /// <summary>Bytes.</summary>
    public const int Size = 8;

    /// <summary>Bytes of one digest.</summary>
    public const int DigestSize = 4;

    /// <summary>Header of the two initialize PDUs.</summary>
    public const int InitializeSize = 128;

    /// <summary>Header of a command: this one and the submission entry.</summary>
    public const int CommandSize = Size + SubmissionEntry.Size;

    /// <summary>Header of a response, of data and of a ready to transfer.</summary>
    public const int ShortSize = 24;

    /// <summary>A terminate request may carry that much of the header that was at fault.</summary>
    public const int MaxTerminate = ShortSize + 128;

    /// <summary>Reads the first eight bytes.</summary>
    public static PduHeader Read(ReadOnlySpan<byte> from)
        => new((PduType)from[0], (PduFlags)from[1], from[2], from[3], BinaryPrimitives.ReadUInt32LittleEndian(from[4..]));

    /// <summary>Writes them.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[0] = (byte)Type;
        to[1] = (byte)Flags;
        to[2] = HeaderLength;
        to[3] = DataOffset;
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], Length);
    }
}
