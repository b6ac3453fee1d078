using System.Text;
using Paddock.Block;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Server;

/// <summary>Writes replies in the negotiated form.</summary>
internal readonly struct ReplyFormat(HeaderForm form)
{
    /// <summary>Number of bytes before the data of a read.</summary>
    public int ReadHead => form == HeaderForm.Simple ? SimpleReply.Size : ChunkHead + ReadPayload.DataHead;

    /// <summary>Size of a success reply.</summary>
    public int DoneSize => form == HeaderForm.Extended ? ExtendedReply.Size : SimpleReply.Size;

    /// <summary>Size of a chunk header.</summary>
    public int ChunkHead => form == HeaderForm.Extended ? ExtendedReply.Size : StructuredReply.Size;

    public HeaderForm Form => form;

    public void WriteReadHead(Span<byte> to, in NbdRequest request)
    {
        if (form == HeaderForm.Simple)
        {
            new SimpleReply(NbdError.None, request.Cookie).WriteTo(to);
            return;
        }

        WriteChunk(to, request, ChunkType.OffsetData, isLast: true, request.Length + ReadPayload.DataHead);
        ReadPayload.WriteOffset(to[ChunkHead..], request.Offset);
    }

    /// <summary>Writes the header of a chunk with a part of a read's data.</summary>
    public void WritePartHead(Span<byte> to, in NbdRequest request, in NbdRequest part, bool isLast)
    {
        WriteChunk(to, request, ChunkType.OffsetData, isLast, part.Length + ReadPayload.DataHead);
        ReadPayload.WriteOffset(to[ChunkHead..], part.Offset);
    }

    /// <summary>Writes the reply to a read of zeroes only.</summary>
    /// <returns>Number of bytes written.</returns>
    public int WriteHole(Span<byte> to, in NbdRequest request)
    {
        WriteChunk(to, request, ChunkType.OffsetHole, isLast: true, ReadPayload.HoleSize);
        ReadPayload.WriteHole(to[ChunkHead..], request.Offset, (uint)request.Length);
        return ChunkHead + ReadPayload.HoleSize;
    }

    public void WriteDone(Span<byte> to, in NbdRequest request)
    {
        if (form == HeaderForm.Extended)
        {
            WriteChunk(to, request, ChunkType.None, isLast: true, 0);
        }
        else
        {
            new SimpleReply(NbdError.None, request.Cookie).WriteTo(to);
        }
    }

    public void WriteChunk(Span<byte> to, in NbdRequest request, ChunkType type, bool isLast, ulong length)
    {
        var chunk = new ReplyChunk(isLast, type, request.Cookie, request.Offset, length);
        if (form == HeaderForm.Extended)
        {
            ExtendedReply.Write(to, chunk);
        }
        else
        {
            StructuredReply.Write(to, chunk);
        }
    }

    /// <summary>Writes an error reply, with a message if the client supports it.</summary>
    public byte[] Error(in NbdRequest request, NbdError error, string message)
    {
        byte[] reply;
        if (form == HeaderForm.Simple)
        {
            reply = new byte[SimpleReply.Size];
            new SimpleReply(error, request.Cookie).WriteTo(reply);
            return reply;
        }

        byte[] payload = new ErrorPayload(error, message).ToBytes();
        reply = new byte[ChunkHead + payload.Length];
        WriteChunk(reply, request, ChunkType.Error, isLast: true, (ulong)payload.Length);
        payload.CopyTo(reply, ChunkHead);
        return reply;
    }

    /// <summary>Wire error number for an exception of a device.</summary>
    public static NbdError Map(Exception failure, NbdCommand command)
        => failure is not BlockException block ? NbdError.Io : block.Error switch
    {
        BlockError.OutOfRange => RequestCheck.Outside(command),
        BlockError.InvalidArgument => NbdError.Invalid,
        BlockError.NotSupported => NbdError.NotSupported,
        BlockError.NoSpace or BlockError.TooManyZones => NbdError.NoSpace,

        // a write beyond the file-size limit: the protocol has no EFBIG; same error as qemu-nbd
        BlockError.TooLarge => command is NbdCommand.Write or NbdCommand.WriteZeroes ? NbdError.NoSpace : NbdError.Overflow,
        BlockError.ReadOnly or BlockError.NotPermitted => NbdError.NotPermitted,
        BlockError.NoMemory => NbdError.NoMemory,
        BlockError.Cancelled or BlockError.NotOwner => NbdError.Shutdown,
        _ => NbdError.Io,
    };
}
