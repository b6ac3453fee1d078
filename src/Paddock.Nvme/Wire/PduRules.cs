namespace Paddock.Nvme.Wire;

/// <summary>
/// Checks the header of every PDU before anything else reads it. A PDU that passes has a known type and lengths consistent
/// with one another and with the limits of the receiver.
/// </summary>
/// <param name="HeaderDigest">Whether header digests were agreed.</param>
/// <param name="DataDigest">Whether data digests were agreed.</param>
/// <param name="MaxCapsule">Most bytes of data in one command.</param>
/// <param name="MaxData">Most bytes of data in one data PDU.</param>
internal readonly record struct PduRules(bool HeaderDigest, bool DataDigest, int MaxCapsule, int MaxData)
{
    private const uint HeaderLengthField = 2, DataOffsetField = 3, LengthField = 4, FlagsField = 1;

    /// <summary>Bytes of header digest in each PDU that has one.</summary>
    public int HeaderDigestSize => HeaderDigest ? PduHeader.DigestSize : 0;

    /// <summary>Bytes of data digest after data.</summary>
    public int DataDigestSize => DataDigest ? PduHeader.DigestSize : 0;

    /// <summary>Checks the header of a PDU that the controller receives.</summary>
    public void CheckFromHost(in PduHeader header)
    {
        switch (header.Type)
        {
            case PduType.InitializeRequest:
                CheckBare(header, PduHeader.InitializeSize);
                break;
            case PduType.Command:
                CheckLengths(header, PduHeader.CommandSize, mayBeBare: true);
                break;
            case PduType.HostData:
                CheckLengths(header, PduHeader.ShortSize, mayBeBare: false);
                break;
            case PduType.HostTerminate:
                CheckTerminate(header);
                break;
            default:
                throw Unknown(header);
        }
    }

    /// <summary>Checks the header of a PDU that the host receives.</summary>
    public void CheckFromController(in PduHeader header)
    {
        switch (header.Type)
        {
            case PduType.InitializeResponse:
                CheckBare(header, PduHeader.InitializeSize);
                break;
            case PduType.Response or PduType.ReadyToTransfer:
                CheckLengths(header, PduHeader.ShortSize, mayBeBare: true, mayHaveData: false);
                break;
            case PduType.ControllerData:
                CheckLengths(header, PduHeader.ShortSize, mayBeBare: false);
                break;
            case PduType.ControllerTerminate:
                CheckTerminate(header);
                break;
            default:
                throw Unknown(header);
        }
    }

    /// <summary>Bytes of data in a PDU whose header was checked.</summary>
    public int DataLength(in PduHeader header)
        => header.DataOffset == 0 || header.Length == (uint)header.HeaderLength + (uint)HeaderDigestSize
        ? 0
        : (int)header.Length - header.DataOffset - DataDigestSize;

    private static PduException Unknown(in PduHeader header)
        => new(FatalError.InvalidHeaderField, 0, $"PDU type {(int)header.Type:x2}h is not one that this side receives");

    private static void CheckBare(in PduHeader header, int size)
    {
        Require(header.HeaderLength == size, HeaderLengthField, header, "header length", header.HeaderLength);
        Require(header.Length == size, LengthField, header, "PDU length", header.Length);
    }

    private static void CheckTerminate(in PduHeader header)
    {
        Require(header.HeaderLength == PduHeader.ShortSize, HeaderLengthField, header, "header length", header.HeaderLength);
        Require(header.Length is >= PduHeader.ShortSize and <= PduHeader.MaxTerminate, LengthField, header, "PDU length", header.Length);
    }

    private void CheckLengths(in PduHeader header, int size, bool mayBeBare, bool mayHaveData = true)
    {
        Require(header.HeaderLength == size, HeaderLengthField, header, "header length", header.HeaderLength);
        Require((header.Flags & PduFlags.HeaderDigest) != 0 == HeaderDigest, FlagsField, header, "flags", (uint)header.Flags);
        uint bare = (uint)(size + HeaderDigestSize);
        if (mayBeBare && header.Length == bare)
        {
            return;
        }

        Require(mayHaveData, LengthField, header, "PDU length", header.Length);
        Require((header.Flags & PduFlags.DataDigest) != 0 == DataDigest, FlagsField, header, "flags", (uint)header.Flags);
        Require(header.DataOffset >= bare, DataOffsetField, header, "data offset", header.DataOffset);
        long data = (long)header.Length - header.DataOffset - DataDigestSize;
        Require(data > 0, LengthField, header, "PDU length", header.Length);
        int limit = header.Type == PduType.Command ? MaxCapsule : MaxData;
        if (data > limit)
        {
            throw new PduException(FatalError.DataLimit, LengthField, $"{header.Type} PDU with {data} bytes of data: the limit is {limit}");
        }
    }

    private static void Require(bool holds, uint field, in PduHeader header, string name, uint value)
    {
        if (!holds)
        {
            throw new PduException(FatalError.InvalidHeaderField, field, $"{header.Type} PDU: the {name} is {value}");
        }
    }
}
