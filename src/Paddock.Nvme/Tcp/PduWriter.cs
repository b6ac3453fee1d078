using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Writes the PDUs of the controller, with the agreed digests, into the send queue. May be used from any thread.
/// </summary>
internal sealed class PduWriter(SendQueue output)
{
    // longer data is sent from its own buffer
    private const int SmallAnswer = 16 << 10;

    private PduRules _rules;
    private volatile bool _gathering;

    /// <summary>While true, what is written waits for <see cref="Send"/>; else it is sent at once.</summary>
    public bool IsGathering
    {
        get => _gathering;
        set => _gathering = value;
    }

    private int ResponseLength => PduHeader.ShortSize + _rules.HeaderDigestSize;

    /// <summary>Starts to send what was written.</summary>
    public void Send() => output.Kick();

    /// <summary>Answers the initialize request, and applies what was agreed to every later PDU.</summary>
    public void WriteInitialize(in InitializePdu response, in PduRules rules)
    {
        output.Put(PduHeader.InitializeSize, response, static (to, r) => r.WriteTo(to, PduType.InitializeResponse));
        _rules = rules;
    }

    /// <summary>Requests the whole data of a command.</summary>
    public void WriteReadyToTransfer(Command command)
    {
        var pdu = new DataPdu(command.Entry.CommandId, (ushort)command.Slot, 0, command.Entry.DataLength);
        output.Put(ResponseLength, new Ready(this, pdu), static (to, r) => r.WriteTo(to));
    }

    /// <summary>Reports a fatal error.</summary>
    /// <param name="fault">The error.</param>
    /// <param name="culprit">The start of the PDU at fault.</param>
    public void WriteTerminate(PduException fault, ReadOnlySpan<byte> culprit)
    {
        Span<byte> pdu = stackalloc byte[PduHeader.MaxTerminate];
        int length = new TerminatePdu(fault.Error, fault.Information).WriteTo(pdu, PduType.ControllerTerminate, culprit);
        output.Put(length, pdu[..length], static (to, from) => from.CopyTo(to));
    }

    /// <summary>Writes the end of a command: data for the host where there is some, and the completion.</summary>
    /// <param name="data">Data for the host; may be empty.</param>
    /// <param name="buffer">Holds the command's data; is released once that is not needed any more.</param>
    /// <param name="completion">The completion.</param>
    /// <param name="mayOmitResponse">Whether successful data needs no response PDU: the host uses no flow control.</param>
    /// <param name="held">Bytes that the command holds of the connection's memory.</param>
    /// <returns>True when the send queue releases <paramref name="held"/>; false when the caller must.</returns>
    public bool WriteAnswer(Memory<byte> data, Slab? buffer, in CompletionEntry completion, bool mayOmitResponse, int held)
    {
        bool responds = data.Length == 0 || !mayOmitResponse;
        bool isLarge = data.Length > SmallAnswer;
        if (isLarge)
        {
            WriteLarge(buffer!, data.Length, completion, responds, held);
        }
        else
        {
            int length = (responds ? ResponseLength : 0) + (data.Length > 0 ? DataLength(data.Length) : 0);
            output.Put(length, new Answer(this, data.Span, completion, responds), static (to, a) => a.WriteTo(to));
            buffer?.Release();
        }

        return isLarge;
    }

    private int DataLength(int data) => PduHeader.ShortSize + _rules.HeaderDigestSize + data + _rules.DataDigestSize;

    /// <summary>The data stays where it is: its header is written before it, digest and response behind it.</summary>
    private void WriteLarge(Slab buffer, int data, in CompletionEntry completion, bool responds, int held)
    {
        int header = PduHeader.ShortSize + _rules.HeaderDigestSize;
        int start = TransferBuffer.Headroom - header;
        int length = DataLength(data) + (responds ? ResponseLength : 0);
        var pdu = buffer.Bytes.AsSpan(start, length);
        WriteDataHeader(pdu, data, completion.CommandId, responds);
        WriteDataDigest(pdu, data);
        if (responds)
        {
            WriteResponse(pdu[DataLength(data)..], completion);
        }

        output.Put(buffer, start, length, held);
    }

    private void WriteDataHeader(Span<byte> to, int length, ushort commandId, bool responds)
    {
        var flags = PduFlags.Last | (responds ? 0 : PduFlags.Success)
            | (_rules.HeaderDigest ? PduFlags.HeaderDigest : 0) | (_rules.DataDigest ? PduFlags.DataDigest : 0);
        byte offset = (byte)(PduHeader.ShortSize + _rules.HeaderDigestSize);
        new DataPdu(commandId, 0, 0, (uint)length).WriteTo(
            to, new PduHeader(PduType.ControllerData, flags, PduHeader.ShortSize, offset, (uint)DataLength(length)));
        WriteHeaderDigest(to);
    }

    private void WriteDataDigest(Span<byte> pdu, int data)
    {
        if (_rules.DataDigest)
        {
            int start = PduHeader.ShortSize + _rules.HeaderDigestSize;
            Crc32C.Write(pdu.Slice(start, data), pdu[(start + data)..]);
        }
    }

    private void WriteResponse(Span<byte> to, in CompletionEntry completion)
    {
        var flags = _rules.HeaderDigest ? PduFlags.HeaderDigest : PduFlags.None;
        new PduHeader(PduType.Response, flags, PduHeader.ShortSize, 0, (uint)ResponseLength).WriteTo(to);
        completion.WriteTo(to[PduHeader.Size..]);
        WriteHeaderDigest(to);
    }

    private void WriteHeaderDigest(Span<byte> pdu)
    {
        if (_rules.HeaderDigest)
        {
            Crc32C.Write(pdu[..PduHeader.ShortSize], pdu[PduHeader.ShortSize..]);
        }
    }

    private readonly ref struct Answer(PduWriter writer, ReadOnlySpan<byte> data, CompletionEntry completion, bool responds)
    {
        private readonly ReadOnlySpan<byte> _data = data;

        public void WriteTo(Span<byte> to)
        {
            if (_data.Length > 0)
            {
                writer.WriteDataHeader(to, _data.Length, completion.CommandId, responds);
                _data.CopyTo(to[(PduHeader.ShortSize + writer._rules.HeaderDigestSize)..]);
                writer.WriteDataDigest(to, _data.Length);
                to = to[writer.DataLength(_data.Length)..];
            }

            if (responds)
            {
                writer.WriteResponse(to, completion);
            }
        }
    }

    private readonly record struct Ready(PduWriter Writer, DataPdu Pdu)
    {
        public void WriteTo(Span<byte> to)
        {
            var flags = Writer._rules.HeaderDigest ? PduFlags.HeaderDigest : PduFlags.None;
            Pdu.WriteTo(to, new PduHeader(PduType.ReadyToTransfer, flags, PduHeader.ShortSize, 0, (uint)Writer.ResponseLength));
            Writer.WriteHeaderDigest(to);
        }
    }
}
