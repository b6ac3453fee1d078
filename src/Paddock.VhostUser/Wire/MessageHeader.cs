using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// Header of each message ("Header"), in the machine's byte order, which is little-endian on all supported platforms.
/// <code>
/// offset size
///      0    4  request
///      4    4  flags
///      8    4  bytes of payload
/// </code>
/// </summary>
/// <param name="Request">A <see cref="FrontEndRequest"/> or <see cref="BackEndRequest"/>.</param>
/// <param name="Flags">Version and options.</param>
/// <param name="Length">Bytes of payload, at most <see cref="VhostUserLimits.MaxPayload"/>.</param>
internal readonly record struct MessageHeader(uint Request, HeaderFlags Flags, int Length)
{
    private const int FlagsAt = sizeof(uint);
    private const int LengthAt = FlagsAt + sizeof(uint);

    /// <summary>Size in bytes.</summary>
    public const int Size = LengthAt + sizeof(uint);

    /// <summary>Whether the sender waits for an acknowledgement, if that was negotiated.</summary>
    public bool NeedsReply => (Flags & HeaderFlags.NeedReply) != 0;

    /// <summary>Reads the header of a request.</summary>
    /// <exception cref="VhostUserException">Another version, a reply, or a payload that is too long.</exception>
    public static MessageHeader Parse(ReadOnlySpan<byte> from)
    {
        uint request = BinaryPrimitives.ReadUInt32LittleEndian(from);
        var flags = (HeaderFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(from[LengthAt..]);
        if ((flags & ~HeaderFlags.NeedReply) != HeaderFlags.Version)
        {
            throw new VhostUserException(
                nameof(MessageHeader), FlagsAt, $"flags 0x{(uint)flags:x} where a request of version 1 must stand");
        }

        return length <= VhostUserLimits.MaxPayload
            ? new MessageHeader(request, flags, (int)length)
            : throw new VhostUserException(nameof(MessageHeader), LengthAt, $"a payload of {length} bytes");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Request);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)Flags);
        BinaryPrimitives.WriteInt32LittleEndian(to[LengthAt..], Length);
    }
}
