using System.Net.Sockets;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tests;

/// <summary>A client that sends what it is told, right or wrong.</summary>
internal sealed class RawHost : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 10000, SendTimeout = 10000 };

    public RawHost(int port) => _socket.Connect("127.0.0.1", port);

    public Socket Socket => _socket;

    public void Send(ReadOnlySpan<byte> bytes) => _socket.Send(bytes);

    public void Initialize(byte digests = 0)
    {
        byte[] pdu = new byte[128];
        new InitializePdu(0, 0, digests, 0).WriteTo(pdu, PduType.InitializeRequest);
        Send(pdu);
        Assert.Equal(PduType.InitializeResponse, PduHeader.Read(Receive(128)).Type);
    }

    public static byte[] Capsule(in SubmissionEntry entry, ReadOnlySpan<byte> data = default)
    {
        byte[] pdu = new byte[72 + data.Length];
        new PduHeader(PduType.Command, 0, 72, (byte)(data.Length > 0 ? 72 : 0), (uint)pdu.Length).WriteTo(pdu);
        entry.WriteTo(pdu.AsSpan(8));
        data.CopyTo(pdu.AsSpan(72));
        return pdu;
    }

    /// <summary>Connects a queue; gives the controller's identifier.</summary>
    public ushort Connect(string nqn, ushort queue = 0, ushort controller = 0xFFFF)
    {
        byte[] data = new byte[1024];
        new ConnectData(1, controller, nqn, "nqn.2014-08.org.example:raw").WriteTo(data);
        Send(Capsule(
            new SubmissionEntry
            {
                Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 1, NamespaceId = FabricsType.Connect, DataLength = 1024, DataKind = SubmissionEntry.InCapsule,
                Dword10 = (uint)queue << 16, Dword11 = 31,
            },
            data));
        var completion = Response();
        Assert.Equal(NvmeStatus.Success, completion.Status);
        return (ushort)completion.Result;
    }

    public void Enable()
    {
        Send(Capsule(new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 2, NamespaceId = FabricsType.PropertySet, Dword11 = Properties.Configuration, Dword12 = 0x460061,
        }));
        Assert.Equal(NvmeStatus.Success, Response().Status);
    }

    public CompletionEntry Response()
    {
        byte[] pdu = Receive(24);
        Assert.Equal(PduType.Response, PduHeader.Read(pdu).Type);
        return CompletionEntry.Read(pdu.AsSpan(8));
    }

    /// <summary>Expects the connection's end, with this reason.</summary>
    public TerminatePdu Terminated()
    {
        byte[] pdu = Receive(24);
        var header = PduHeader.Read(pdu);
        Assert.Equal(PduType.ControllerTerminate, header.Type);
        Receive((int)header.Length - 24);
        Assert.Equal(0, _socket.Receive(new byte[1]));
        return TerminatePdu.Read(pdu);
    }

    public byte[] Receive(int count)
    {
        byte[] bytes = new byte[count];
        for (int got = 0; got < count;)
        {
            int n = _socket.Receive(bytes, got, count - got, SocketFlags.None);
            got += n > 0 ? n : throw new EndOfStreamException($"{got} of {count} bytes came");
        }

        return bytes;
    }

    public void Dispose() => _socket.Dispose();
}
