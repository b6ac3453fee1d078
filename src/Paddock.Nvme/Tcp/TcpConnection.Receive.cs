using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

// PDUs as they come: one step takes one PDU, or a part of its data, off the buffer
internal sealed partial class TcpConnection
{
    private const int DirectThreshold = 32 << 10;

    private long _pdus;
    private Command? _incoming;
    private int _incomingLeft;
    private uint _incomingDigest;

    /// <summary>PDUs that were taken so far.</summary>
    public long Pdus => Volatile.Read(ref _pdus);

    /// <summary>Takes a PDU, or what there is of its data. False when more must come first.</summary>
    private bool Step()
    {
        if (_incoming is not null)
        {
            return TakeData();
        }

        var rest = _in.Bytes.AsSpan(_start, _end - _start);
        if (rest.Length < PduHeader.Size)
        {
            return false;
        }

        var header = PduHeader.Read(rest);
        _rules.CheckFromHost(header);
        if (_initialized == (header.Type == PduType.InitializeRequest))
        {
            throw new PduException(FatalError.Sequence, 0, $"{header.Type} PDU {(_initialized ? "twice" : "before the connection was initialized")}");
        }

        // data streams into its command; everything else must be there whole
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
                Fault = $"the host ended the connection: {TerminatePdu.Read(rest).Error}";
                throw new SocketException((int)SocketError.ConnectionAborted);
        }

        _start += (int)needed;
        Volatile.Write(ref _pdus, _pdus + 1);
        return true;
    }

    private static void CheckHeaderDigest(ReadOnlySpan<byte> pdu, int headerLength)
    {
        uint came = BinaryPrimitives.ReadUInt32LittleEndian(pdu[headerLength..]);
        if (came != Crc32C.Of(pdu[..headerLength]))
        {
            throw new PduException(FatalError.HeaderDigest, came, "a header digest does not match");
        }
    }

    private void Initialize(in InitializePdu request)
    {
        if (request.FormatVersion != 0)
        {
            throw new PduException(FatalError.UnsupportedParameter, InitializePdu.FormatVersionField, $"PDU format version {request.FormatVersion}");
        }

        if (request.DataAlignment != 0)
        {
            throw new PduException(
                FatalError.UnsupportedParameter, InitializePdu.DataAlignmentField, $"data alignment {request.DataAlignment}: none is offered");
        }

        bool header = request.HeaderDigest && _options.Digests, data = request.DataDigest && _options.Digests;
        var response = new InitializePdu(
            0, 0, (byte)((header ? InitializePdu.HeaderDigestBit : 0) | (data ? InitializePdu.DataDigestBit : 0)), (uint)_options.MaxTransferBytes);
        _out.Put(PduHeader.InitializeSize, response, static (to, r) => r.WriteTo(to, PduType.InitializeResponse));
        _rules = _rules with { HeaderDigest = header, DataDigest = data };
        _initialized = true;
    }

    private void TakeCommand(ReadOnlySpan<byte> pdu, in PduHeader header)
    {
        var command = Take(SubmissionEntry.Read(pdu[PduHeader.Size..]));
        if (command is null)
        {
            return;
        }

        int inCapsule = _rules.DataLength(header);
        var data = _in.Bytes.AsMemory(_start + header.DataOffset, inCapsule);
        if (inCapsule > 0 && _rules.DataDigest && BinaryPrimitives.ReadUInt32LittleEndian(pdu[(header.DataOffset + inCapsule)..]) != Crc32C.Of(data.Span))
        {
            command.Finish(NvmeStatus.TransientTransportError);
            return;
        }

        var status = Prepare(command, data);
        if (status is { } refused)
        {
            command.Finish(refused);
        }
    }

    /// <summary>Finds a command's data and starts it, now or when its data has come.</summary>
    /// <returns>Null, or why the command cannot be run.</returns>
    private NvmeStatus? Prepare(Command command, Memory<byte> inCapsule)
    {
        const byte usesSgl = 0x40;
        var entry = command.Entry;
        if (entry.Flags != usesSgl)
        {
            return NvmeStatus.InvalidField;
        }

        if (Admit(entry) is { } refused)
        {
            return refused;
        }

        if (entry.DataLength > _options.MaxTransferBytes)
        {
            return NvmeStatus.InvalidField;
        }

        int length = (int)entry.DataLength;
        switch (entry.Direction)
        {
            case 1 when length > 0 && entry.DataKind == SubmissionEntry.InCapsule:
                if (entry.DataAddress > (ulong)inCapsule.Length || length > inCapsule.Length - (int)entry.DataAddress)
                {
                    return NvmeStatus.SglOffsetInvalid;
                }

                _in.Hold();
                command.Buffer = _in;
                command.Data = inCapsule.Slice((int)entry.DataAddress, length);
                break;
            case 1 when length > 0:
                if (entry.DataKind != SubmissionEntry.InTransport)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                Request(command);
                return null;
            case 2 when length > 0:
                if (entry.DataKind != SubmissionEntry.InTransport)
                {
                    return NvmeStatus.SglTypeInvalid;
                }

                if (_target.Buffers.TryRentTransfer(length) is not { } buffer)
                {
                    return NvmeStatus.CommandInterrupted;
                }

                Hold(command.Held = length);
                command.Buffer = buffer;
                command.Data = buffer.Data(length);
                break;
            case 3:
                return NvmeStatus.InvalidOpcode;
        }

        InOrder(command);
        return null;
    }

    private void BeginData(in DataPdu pdu, in PduHeader header)
    {
        var command = FindTransfer(pdu.TransferTag);
        if (command is null || command.Entry.CommandId != pdu.CommandId)
        {
            throw new PduException(
                FatalError.InvalidHeaderField, DataPdu.TransferTagField, $"data for transfer {pdu.TransferTag} of command {pdu.CommandId}, which was not asked for");
        }

        int length = _rules.DataLength(header);
        if (pdu.Length != (uint)length)
        {
            throw new PduException(FatalError.InvalidHeaderField, DataPdu.LengthField, $"{pdu.Length} bytes of data in a PDU that holds {length}");
        }

        if (pdu.Offset != (uint)command.Received || length > command.Data.Length - command.Received)
        {
            throw new PduException(
                FatalError.DataOutOfRange, DataPdu.OffsetField, $"data at {pdu.Offset}, {length} bytes: {command.Received} of {command.Data.Length} have come");
        }

        bool last = (header.Flags & PduFlags.Last) != 0;
        if (last != (command.Received + length == command.Data.Length))
        {
            throw new PduException(FatalError.InvalidHeaderField, 1, last ? "the last data PDU ends too early" : "the last data PDU does not say so");
        }

        _incoming = command;
        _incomingLeft = length;
        _incomingDigest = 0;
    }

    private bool TakeData()
    {
        var command = _incoming!;
        int have = Math.Min(_incomingLeft, _end - _start);
        _in.Bytes.AsSpan(_start, have).CopyTo(command.Data.Span[command.Received..]);
        _start += have;
        Account(have);
        if (_incomingLeft > 0)
        {
            return false;
        }

        if (_rules.DataDigest)
        {
            if (_end - _start < PduHeader.DigestSize)
            {
                return false;
            }

            int pdu = (int)_incomingDigest;
            uint came = BinaryPrimitives.ReadUInt32LittleEndian(_in.Bytes.AsSpan(_start));
            command.IsBroken |= came != Crc32C.Of(command.Data.Span.Slice(command.Received - pdu, pdu));
            _start += PduHeader.DigestSize;
        }

        _incoming = null;
        if (command.Received == command.Data.Length)
        {
            Received(command);
        }

        return true;
    }

    private void Account(int bytes)
    {
        _incoming!.Received += bytes;
        _incomingLeft -= bytes;
        _incomingDigest += (uint)bytes;
    }

    /// <summary>Where data may be received without a detour; empty when it is too little to be worth it.</summary>
    private Memory<byte> DirectTarget() => _incoming is not null && _incomingLeft >= DirectThreshold
        ? _incoming.Data.Slice(_incoming.Received, _incomingLeft)
        : default;
}
