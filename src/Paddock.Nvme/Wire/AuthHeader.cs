using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>How each message of an authentication begins (NVMe base 2.0, 8.13).</summary>
/// <remarks>
/// <code>
/// 0  1  AUTH_TYPE   0: common, 1: DH-HMAC-CHAP
/// 1  1  AUTH_ID     which message of that type
/// 2  2  reserved
/// 4  2  T_ID        the transaction, which the host chose
/// </code>
/// </remarks>
internal readonly record struct AuthHeader(AuthMessage Message, ushort Transaction)
{
    /// <summary>Bytes.</summary>
    public const int Size = 6;

    /// <summary>The longest message that either side may send: an AUTH_Negotiate with 255 protocol descriptors.</summary>
    public const int MaxMessage = 16 << 10;

    /// <summary>
    /// What authentication commands carry in dword 10: security protocol E9h, its specific fields 01h and 01h (NVMe base 2.0, 6).
    /// </summary>
    public const uint CommandProtocol = 0xE901_0100;

    private const int TransactionField = 4;

    /// <summary>Reads 6 bytes.</summary>
    public static AuthHeader Read(ReadOnlySpan<byte> from)
        => new((AuthMessage)((from[0] << 8) | from[1]), BinaryPrimitives.ReadUInt16LittleEndian(from[TransactionField..]));

    /// <summary>Writes the header into a message that is zero.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[0] = (byte)((int)Message >> 8);
        to[1] = (byte)Message;
        BinaryPrimitives.WriteUInt16LittleEndian(to[TransactionField..], Transaction);
    }
}

/// <summary>A message: AUTH_TYPE in the high byte, AUTH_ID in the low one.</summary>
internal enum AuthMessage : ushort
{
    /// <summary>The host offers protocols, hashes and groups.</summary>
    Negotiate = 0x0000,

    /// <summary>The host reports a failure of the controller.</summary>
    Failure2 = 0x00F0,

    /// <summary>The controller reports a failure of the host.</summary>
    Failure1 = 0x00F1,

    /// <summary>The controller chooses, and challenges the host.</summary>
    Challenge = 0x0101,

    /// <summary>The host responds, and may challenge the controller.</summary>
    Reply = 0x0102,

    /// <summary>The host is authenticated; the controller responds.</summary>
    Success1 = 0x0103,

    /// <summary>The controller is authenticated.</summary>
    Success2 = 0x0104,
}
