namespace Paddock.Nvme.Wire;

/// <summary>Fatal error status of a terminate request (NVMe/TCP transport 1.0, 3.6.2.3).</summary>
internal enum FatalError : ushort
{
    /// <summary>A header field has an invalid value; the information is its offset.</summary>
    InvalidHeaderField = 1,

    /// <summary>A PDU is out of sequence.</summary>
    Sequence = 2,

    /// <summary>The header digest does not match; the information is the received digest.</summary>
    HeaderDigest = 3,

    /// <summary>Data outside the requested range.</summary>
    DataOutOfRange = 4,

    /// <summary>More data than the limit of one PDU.</summary>
    DataLimit = 5,

    /// <summary>A parameter that is not supported; the information is its offset.</summary>
    UnsupportedParameter = 6,
}

/// <summary>The peer violated the transport protocol: the connection is closed with a terminate request.</summary>
internal sealed class PduException(FatalError error, uint information, string message) : Exception(message)
{
    /// <summary>Why.</summary>
    public FatalError Error => error;

    /// <summary>Offset of the field, or the digest.</summary>
    public uint Information => information;
}
