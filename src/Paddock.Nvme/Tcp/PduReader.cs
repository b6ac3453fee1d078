using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>The host ended the connection with a terminate request.</summary>
internal sealed class HostTerminatedException(FatalError error) : Exception($"the host ended the connection: {error}");

/// <summary>
/// Parses the PDUs of one connection and checks their digests. Independent of the socket: the caller fills the memory of
/// <see cref="NextTarget"/>, reports the bytes received, and calls <see cref="Step"/> until it returns false.
/// </summary>
internal sealed class PduReader(PduBuffer buffer, IPduReceiver receiver, NvmeTargetOptions options)
{
    // less than this is received into the buffer, together with what follows it
    private const int DirectThreshold = 32 << 10;

    private PduRules _rules = new(false, false, options.InCapsuleBytes, options.MaxTransferBytes);
    private bool _initialized;
    private long _pdus;

    // the data PDU that is being received: its command, how much of it is missing, and how much has been received
    private TcpCommand? _incoming;
    private int _missing, _received;

    /// <summary>Number of PDUs parsed so far; may be read from any thread.</summary>
    public long Pdus => Volatile.Read(ref _pdus);

    /// <summary>The first unparsed bytes, at most <paramref name="length"/>: after an exception, the PDU at fault.</summary>
    public ReadOnlySpan<byte> Peek(int length) => buffer.Unread[..Math.Min(buffer.Length, length)];

    /// <summary>Where to receive the next bytes: into the buffer, or directly into the command whose data is due.</summary>
    public Memory<byte> NextTarget(out bool isDirect)
    {
        isDirect = _missing >= DirectThreshold && buffer.Length == 0;
        return isDirect ? _incoming!.Data.Slice(_incoming.Received, _missing) : buffer.Reserve(PendingLength());
    }

    /// <summary>Records bytes received into the memory that <see cref="NextTarget"/> returned.</summary>
    public void Receive(int bytes, bool isDirect)
    {
        if (isDirect)
        {
            Account(bytes);
        }
        else
        {
            buffer.Append(bytes);
        }
    }

    /// <summary>Parses one PDU, or the available part of its data.</summary>
    /// <returns>False when more bytes are needed.</returns>
    /// <exception cref="PduException">The host broke a rule of the transport.</exception>
    /// <exception cref="HostTerminatedException">The host ends the connection.</exception>
    public bool Step()
    {
        if (_incoming is not null)
        {
            return TakeData(_incoming);
        }

        var rest = buffer.Unread;
        if (rest.Length < PduHeader.Size)
        {
            return false;
        }

        var header = PduHeader.Read(rest);
        _rules.CheckFromHost(header);
        if (_initialized == (header.Type == PduType.InitializeRequest))
        {
            throw new PduException(
                FatalError.Sequence, 0, $"{header.Type} PDU {(_initialized ? "twice" : "before the connection was initialized")}");
        }

        // data goes to its command as it arrives; everything else is parsed once it is complete
        long needed = header.Type == PduType.HostData ? header.DataOffset : header.Length;
        if (rest.Length < needed)
        {
            return false;
        }

        if (_rules.HeaderDigest && header.Type is PduType.Command or PduType.HostData)
        {
            CheckHeaderDigest(rest, header.HeaderLength);
        }

        switch (header.Type)
        {
            case PduType.InitializeRequest:
                Initialize(InitializePdu.Read(rest));
                break;
            case PduType.Command:
                TakeCommand(rest[..(int)header.Length], header);
                break;
            case PduType.HostData:
                BeginData(DataPdu.Read(rest), header);
                break;
            default:
                throw new HostTerminatedException(TerminatePdu.Read(rest).Error);
        }

        buffer.Consume((int)needed);
        Volatile.Write(ref _pdus, _pdus + 1);
        return true;
    }

    private int PendingLength() => buffer.Length < PduHeader.Size || _incoming is not null
        ? PduHeader.InitializeSize
        : (int)Math.Min(PduHeader.Read(buffer.Unread).Length, (uint)buffer.Slab.Bytes.Length);

    private static void CheckHeaderDigest(ReadOnlySpan<byte> pdu, int headerLength)
    {
        uint received = BinaryPrimitives.ReadUInt32LittleEndian(pdu[headerLength..]);
        if (received != Crc32C.Of(pdu[..headerLength]))
        {
            throw new PduException(FatalError.HeaderDigest, received, "a header digest does not match");
        }
    }

    private void Initialize(in InitializePdu request)
    {
        if (request.FormatVersion != 0)
        {
            throw new PduException(
                FatalError.UnsupportedParameter, InitializePdu.FormatVersionField, $"PDU format version {request.FormatVersion}");
        }

        if (request.DataAlignment != 0)
        {
            throw new PduException(
                FatalError.UnsupportedParameter, InitializePdu.DataAlignmentField,
                $"data alignment {request.DataAlignment}: none is offered");
        }

        bool header = request.HeaderDigest && options.Digests, data = request.DataDigest && options.Digests;
        _rules = _rules with { HeaderDigest = header, DataDigest = data };
        _initialized = true;
        receiver.Initialize(
            new InitializePdu(
                0, 0, (byte)((header ? InitializePdu.HeaderDigestBit : 0) | (data ? InitializePdu.DataDigestBit : 0)),
                (uint)options.MaxTransferBytes),
            _rules);
    }

    private void TakeCommand(ReadOnlySpan<byte> pdu, in PduHeader header)
    {
        int length = _rules.DataLength(header);
        var data = buffer.Slice(header.DataOffset, length);
        bool isDamaged = length > 0 && _rules.DataDigest
            && BinaryPrimitives.ReadUInt32LittleEndian(pdu[(header.DataOffset + length)..]) != Crc32C.Of(data.Span);
        receiver.TakeCommand(SubmissionEntry.Read(pdu[PduHeader.Size..]), buffer.Slab, data, isDamaged);
    }

    private void BeginData(in DataPdu pdu, in PduHeader header)
    {
        var command = receiver.FindTransfer(pdu.TransferTag);
        if (command is null || command.Entry.CommandId != pdu.CommandId)
        {
            throw new PduException(
                FatalError.InvalidHeaderField, DataPdu.TransferTagField,
                $"data for transfer {pdu.TransferTag} of command {pdu.CommandId}, which was not requested");
        }

        int length = _rules.DataLength(header);
        if (pdu.Length != (uint)length)
        {
            throw new PduException(
                FatalError.InvalidHeaderField, DataPdu.LengthField, $"{pdu.Length} bytes of data in a PDU that holds {length}");
        }

        if (pdu.Offset != (uint)command.Received || length > command.Data.Length - command.Received)
        {
            throw new PduException(
                FatalError.DataOutOfRange, DataPdu.OffsetField,
                $"data at {pdu.Offset}, {length} bytes: {command.Received} of {command.Data.Length} were received");
        }

        bool last = (header.Flags & PduFlags.Last) != 0;
        if (last != (command.Received + length == command.Data.Length))
        {
            throw new PduException(FatalError.InvalidHeaderField, 1, last ? "the last data PDU ends too early"
                : "the last data PDU is not marked as the last");
        }

        _incoming = command;
        _missing = length;
        _received = 0;
    }

    private bool TakeData(TcpCommand command)
    {
        int available = Math.Min(_missing, buffer.Length);
        buffer.Unread[..available].CopyTo(command.Data.Span[command.Received..]);
        buffer.Consume(available);
        Account(available);
        if (_missing > 0)
        {
            return false;
        }

        if (_rules.DataDigest)
        {
            if (buffer.Length < PduHeader.DigestSize)
            {
                return false;
            }

            uint digest = BinaryPrimitives.ReadUInt32LittleEndian(buffer.Unread);
            command.IsBroken |= digest != Crc32C.Of(command.Data.Span.Slice(command.Received - _received, _received));
            buffer.Consume(PduHeader.DigestSize);
        }

        _incoming = null;
        if (command.Received == command.Data.Length)
        {
            receiver.CompleteTransfer(command);
        }

        return true;
    }

    private void Account(int bytes)
    {
        _incoming!.Received += bytes;
        _missing -= bytes;
        _received += bytes;
    }
}
