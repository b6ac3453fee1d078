using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

// the controller is trusted no more than a client: every tag, offset and length is checked
internal sealed partial class HostQueue
{
    private async Task ReceiveAsync()
    {
        try
        {
            while (!_closed)
            {
                _batchThread = Environment.CurrentManagedThreadId;
                while (Step())
                {
                }

                _batchThread = 0;
                _out.Kick();
                if (_start > 0)
                {
                    _in.AsSpan(_start, _end - _start).CopyTo(_in);
                    (_start, _end) = (0, _end - _start);
                }

                int got = await _socket.ReceiveAsync(_in.AsMemory(_end), SocketFlags.None);
                if (got == 0)
                {
                    break;
                }

                _end += got;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or PduException)
        {
            // waiters are notified below
        }

        _closed = true;
        _batchThread = 0;
        _socket.Dispose();
        _out.Close();
        foreach (var slot in _slots)
        {
            slot.Fail();
        }
    }

    private HostSlot? _filling;
    private int _at, _left, _pduStart;
    private bool _succeeds;

    private bool Step()
    {
        if (_filling is not null)
        {
            return TakeData(_filling);
        }

        var rest = _in.AsSpan(_start, _end - _start);
        if (rest.Length < PduHeader.Size)
        {
            return false;
        }

        var header = PduHeader.Read(rest);
        _rules.CheckFromController(header);
        long needed = header.Type == PduType.ControllerData ? header.DataOffset : header.Length;
        if (rest.Length < needed)
        {
            return false;
        }

        if (_rules.HeaderDigest && header.Type != PduType.ControllerTerminate
            && BinaryPrimitives.ReadUInt32LittleEndian(rest[header.HeaderLength..]) != Crc32C.Of(rest[..header.HeaderLength]))
        {
            throw new PduException(FatalError.HeaderDigest, 0, "a header digest does not match");
        }

        switch (header.Type)
        {
            case PduType.Response:
                var completion = CompletionEntry.Read(rest[PduHeader.Size..]);
                Find(completion.CommandId).Complete(completion);
                break;
            case PduType.ReadyToTransfer:
                SendData(DataPdu.Read(rest));
                break;
            case PduType.ControllerData:
                BeginData(DataPdu.Read(rest), header);
                break;
            default:
                throw new PduException(FatalError.Sequence, 0, $"the controller ended the connection, or sent a {header.Type} PDU");
        }

        _start += (int)needed;
        return true;
    }

    private HostSlot Find(ushort id) => id < _slots.Length && _slots[id].IsActive
        ? _slots[id]
        : throw new PduException(FatalError.InvalidHeaderField, 8, $"an answer to command {id}, which was not asked");

    private void BeginData(in DataPdu pdu, in PduHeader header)
    {
        var slot = Find(pdu.CommandId);
        int length = _rules.DataLength(header);
        if (pdu.Length != (uint)length || pdu.Offset > (uint)slot.ToHost.Length || length > slot.ToHost.Length - (int)pdu.Offset)
        {
            throw new PduException(FatalError.DataOutOfRange, DataPdu.OffsetField, "data outside the command's room");
        }

        if (pdu.Offset != (uint)slot.Filled)
        {
            throw new PduException(
                FatalError.DataOutOfRange, DataPdu.OffsetField, $"data at {pdu.Offset}, where those at {slot.Filled} are next");
        }

        slot.Filled += length;
        _filling = slot;
        _at = _pduStart = (int)pdu.Offset;
        _left = length;
        _succeeds = (header.Flags & PduFlags.Success) != 0;
    }

    private bool TakeData(HostSlot slot)
    {
        int have = Math.Min(_left, _end - _start);
        _in.AsSpan(_start, have).CopyTo(slot.ToHost.Span[_at..]);
        _start += have;
        _at += have;
        _left -= have;
        if (_left > 0 || (_rules.DataDigest && _end - _start < PduHeader.DigestSize))
        {
            return false;
        }

        if (_rules.DataDigest)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(_in.AsSpan(_start)) != Crc32C.Of(slot.ToHost.Span[_pduStart.._at]))
            {
                throw new PduException(FatalError.HeaderDigest, 0, "a data digest does not match");
            }

            _start += PduHeader.DigestSize;
        }

        _filling = null;
        if (_succeeds)
        {
            slot.Complete(new CompletionEntry(0, 0, slot.Id, NvmeStatus.Success));
        }

        return true;
    }

    private void SendData(in DataPdu ready)
    {
        var slot = Find(ready.CommandId);
        if (ready.Length == 0 || ready.Offset > (uint)slot.ToController.Length || ready.Length > slot.ToController.Length - ready.Offset)
        {
            throw new PduException(FatalError.DataOutOfRange, DataPdu.OffsetField, "a request for data beyond that of the command");
        }

        _writer.WriteData(ready, slot.ToController.Slice((int)ready.Offset, (int)ready.Length));
        Kick();
    }
}
