using Paddock.Block;
using Paddock.Block.Buffers;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

// the PDUs that a command's end becomes
internal sealed partial class TcpConnection
{
    private int ResponseLength => PduHeader.ShortSize + _rules.HeaderDigestSize;

    private int DataLength(int data) => PduHeader.ShortSize + _rules.HeaderDigestSize + data + _rules.DataDigestSize;

    /// <summary>Data that stays where it was read: its header goes before it, digest and response behind it.</summary>
    private void AnswerLarge(Slab buffer, int data, in CompletionEntry completion, int held)
    {
        int header = PduHeader.ShortSize + _rules.HeaderDigestSize;
        int start = TransferBuffer.Headroom - header;
        int length = DataLength(data) + (_flowOff ? 0 : ResponseLength);
        var pdu = buffer.Bytes.AsSpan(start, length);
        WriteDataHeader(pdu, data, completion.CommandId);
        FinishData(pdu, data);
        if (!_flowOff)
        {
            WriteResponse(pdu[DataLength(data)..], completion);
        }

        _out.Put(buffer, start, length, held);
    }

    private void WriteDataHeader(Span<byte> to, int length, ushort commandId)
    {
        var flags = PduFlags.Last | (_flowOff ? PduFlags.Success : 0)
            | (_rules.HeaderDigest ? PduFlags.HeaderDigest : 0) | (_rules.DataDigest ? PduFlags.DataDigest : 0);
        byte offset = (byte)(PduHeader.ShortSize + _rules.HeaderDigestSize);
        new DataPdu(commandId, 0, 0, (uint)length).WriteTo(
            to, new PduHeader(PduType.ControllerData, flags, PduHeader.ShortSize, offset, (uint)DataLength(length)));
        Digest(to, PduHeader.ShortSize);
    }

    private void FinishData(Span<byte> pdu, int length)
    {
        if (_rules.DataDigest)
        {
            int start = PduHeader.ShortSize + _rules.HeaderDigestSize;
            Crc32C.Write(pdu.Slice(start, length), pdu[(start + length)..]);
        }
    }

    private void WriteResponse(Span<byte> to, in CompletionEntry completion)
    {
        var flags = _rules.HeaderDigest ? PduFlags.HeaderDigest : PduFlags.None;
        new PduHeader(PduType.Response, flags, PduHeader.ShortSize, 0, (uint)ResponseLength).WriteTo(to);
        completion.WriteTo(to[PduHeader.Size..]);
        Digest(to, PduHeader.ShortSize);
    }

    private void Digest(Span<byte> pdu, int header)
    {
        if (_rules.HeaderDigest)
        {
            Crc32C.Write(pdu[..header], pdu[header..]);
        }
    }

    private readonly ref struct Answer(TcpConnection connection, ReadOnlySpan<byte> data, CompletionEntry completion)
    {
        private readonly ReadOnlySpan<byte> _data = data;

        public void WriteTo(Span<byte> to)
        {
            if (_data.Length > 0)
            {
                connection.WriteDataHeader(to, _data.Length, completion.CommandId);
                _data.CopyTo(to[(PduHeader.ShortSize + connection._rules.HeaderDigestSize)..]);
                connection.FinishData(to, _data.Length);
                to = to[connection.DataLength(_data.Length)..];
            }

            if (to.Length > 0)
            {
                connection.WriteResponse(to, completion);
            }
        }
    }

    private readonly record struct Ready(TcpConnection Connection, DataPdu Pdu)
    {
        public void WriteTo(Span<byte> to)
        {
            var flags = Connection._rules.HeaderDigest ? PduFlags.HeaderDigest : PduFlags.None;
            Pdu.WriteTo(to, new PduHeader(PduType.ReadyToTransfer, flags, PduHeader.ShortSize, 0, (uint)Connection.ResponseLength));
            Connection.Digest(to, PduHeader.ShortSize);
        }
    }
}
