using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Host;

/// <summary>Writes the PDUs of a host, with the agreed digests, into the send queue.</summary>
internal sealed class HostPduWriter(SendQueue output, SlabPool pool, PduRules rules)
{
    // longer data is sent from its own buffer
    private const int SmallPdu = 16 << 10;

    private readonly PduRules _rules = rules;

    /// <summary>Writes a command.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="data">Data in its capsule; must stay as it is until the command is answered.</param>
    public void WriteCommand(in SubmissionEntry entry, ReadOnlyMemory<byte> data)
    {
        int header = PduHeader.CommandSize + _rules.HeaderDigestSize;
        int length = header + data.Length + (data.Length > 0 ? _rules.DataDigestSize : 0);
        if (length <= SmallPdu)
        {
            output.Put(length, new Capsule(this, entry, data.Span, data.Length), static (to, c) => c.WriteTo(to));
        }
        else if (_rules.DataDigestSize == 0)
        {
            output.Put(header, new Capsule(this, entry, default, data.Length), static (to, c) => c.WriteTo(to), data);
        }
        else
        {
            var buffer = pool.TryRentTransfer(length) ?? throw new BlockException(BlockError.NoMemory, "no memory for a transfer");
            int start = TransferBuffer.Headroom;
            new Capsule(this, entry, data.Span, data.Length).WriteTo(buffer.Bytes.AsSpan(start, length));
            output.Put(buffer, start, length, 0);
        }
    }

    /// <summary>Writes data that the controller has requested.</summary>
    /// <param name="ready">The request.</param>
    /// <param name="data">The data; must stay as it is until the command is answered.</param>
    /// <exception cref="PduException">There is no memory for the data with its digest.</exception>
    public void WriteData(in DataPdu ready, ReadOnlyMemory<byte> data)
    {
        int header = PduHeader.ShortSize + _rules.HeaderDigestSize;
        if (_rules.DataDigestSize == 0)
        {
            output.Put(header, new DataHeader(this, ready), static (to, h) => h.WriteTo(to), data);
            return;
        }

        var buffer = pool.TryRentTransfer(data.Length) ?? throw new PduException(FatalError.DataLimit, 0, "no memory for a transfer");
        int start = TransferBuffer.Headroom - header;
        var pdu = buffer.Bytes.AsSpan(start, header + data.Length + _rules.DataDigestSize);
        var flags = PduFlags.Last | PduFlags.DataDigest | (_rules.HeaderDigest ? PduFlags.HeaderDigest : 0);
        new DataPdu(ready.CommandId, ready.TransferTag, ready.Offset, ready.Length).WriteTo(
            pdu, new PduHeader(PduType.HostData, flags, PduHeader.ShortSize, (byte)header, (uint)pdu.Length));
        if (_rules.HeaderDigest)
        {
            Crc32C.Write(pdu[..PduHeader.ShortSize], pdu[PduHeader.ShortSize..]);
        }

        data.Span.CopyTo(pdu[header..]);
        Crc32C.Write(pdu.Slice(header, data.Length), pdu[(header + data.Length)..]);
        output.Put(buffer, start, pdu.Length, 0);
    }

    /// <summary>A command's capsule; its data may be sent from where it lies, behind the header that is written here.</summary>
    private readonly ref struct Capsule(HostPduWriter writer, SubmissionEntry entry, ReadOnlySpan<byte> data, int length)
    {
        private readonly ReadOnlySpan<byte> _data = data;

        public void WriteTo(Span<byte> to)
        {
            int header = PduHeader.CommandSize + writer._rules.HeaderDigestSize;
            var flags = (writer._rules.HeaderDigest ? PduFlags.HeaderDigest : 0)
                | (writer._rules.DataDigest && length > 0 ? PduFlags.DataDigest : 0);
            uint pdu = (uint)(to.Length + length - _data.Length);
            new PduHeader(PduType.Command, flags, PduHeader.CommandSize, (byte)(length > 0 ? header : 0), pdu).WriteTo(to);
            entry.WriteTo(to[PduHeader.Size..]);
            if (writer._rules.HeaderDigest)
            {
                Crc32C.Write(to[..PduHeader.CommandSize], to[PduHeader.CommandSize..]);
            }

            _data.CopyTo(to[header..]);
            if (writer._rules.DataDigest && _data.Length > 0)
            {
                Crc32C.Write(_data, to[(header + _data.Length)..]);
            }
        }
    }

    /// <summary>The header of data that is sent from where it lies.</summary>
    private readonly record struct DataHeader(HostPduWriter Writer, DataPdu Ready)
    {
        public void WriteTo(Span<byte> to)
        {
            var flags = PduFlags.Last | (Writer._rules.HeaderDigest ? PduFlags.HeaderDigest : 0);
            new DataPdu(Ready.CommandId, Ready.TransferTag, Ready.Offset, Ready.Length).WriteTo(
                to, new PduHeader(PduType.HostData, flags, PduHeader.ShortSize, (byte)to.Length, (uint)to.Length + Ready.Length));
            if (Writer._rules.HeaderDigest)
            {
                Crc32C.Write(to[..PduHeader.ShortSize], to[PduHeader.ShortSize..]);
            }
        }
    }
}
