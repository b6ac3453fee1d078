using System.Net.Sockets;
using Paddock.Nvme;
using Paddock.Nvme.Wire;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Client that sends specified PDUs, valid or invalid.</summary>
internal sealed class RawHost : IDisposable
{
    private readonly Socket _socket = new(
        SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 10000, SendTimeout = 10000 };

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

    /// <summary>The same with a data digest.</summary>
    public static byte[] DigestedCapsule(in SubmissionEntry entry, ReadOnlySpan<byte> data)
    {
        byte[] pdu = [.. Capsule(entry, data), 0, 0, 0, 0];
        new PduHeader(PduType.Command, PduFlags.DataDigest, 72, 72, (uint)pdu.Length).WriteTo(pdu);
        Block.Crc32C.Write(data, pdu.AsSpan(pdu.Length - 4));
        return pdu;
    }

    public static byte[] Capsule(in SubmissionEntry entry, ReadOnlySpan<byte> data = default)
    {
        byte[] pdu = new byte[72 + data.Length];
        new PduHeader(PduType.Command, 0, 72, (byte)(data.Length > 0 ? 72 : 0), (uint)pdu.Length).WriteTo(pdu);
        entry.WriteTo(pdu.AsSpan(8));
        data.CopyTo(pdu.AsSpan(72));
        return pdu;
    }

    /// <summary>Connects a queue; returns the controller identifier, with the required authentication in the upper bits.</summary>
    public long Connect(string nqn, ushort queue = 0, ushort controller = 0xFFFF, uint keepAlive = 0, bool digest = false)
    {
        byte[] data = new byte[1024];
        new ConnectData(1, controller, nqn, Secrets.RawHostNqn).WriteTo(data);
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 1, NamespaceId = FabricsType.Connect, DataLength = 1024,
                DataKind = SubmissionEntry.InCapsule,
            Dword10 = (uint)queue << 16, Dword11 = 31, Dword12 = keepAlive,
        };
        Send(digest ? DigestedCapsule(entry, data) : Capsule(entry, data));
        var completion = Response();
        Assert.Equal(NvmeStatus.Success, completion.Status);
        return (long)completion.Result;
    }

    public void Enable()
    {
        Send(Capsule(new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 2, NamespaceId = FabricsType.PropertySet, Dword11 = Properties.Configuration,
                Dword12 = 0x460061,
        }));
        Assert.Equal(NvmeStatus.Success, Response().Status);
    }

    /// <summary>Runs a command that needs no data, or is rejected.</summary>
    public CompletionEntry Run(SubmissionEntry entry)
    {
        Send(Capsule(entry with { Flags = 0x40, CommandId = 3 }));
        return Response();
    }

    /// <summary>Sends an authentication message.</summary>
    public CompletionEntry SendMessage(byte[] message)
    {
        Send(Capsule(
            new SubmissionEntry
            {
                Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 4, NamespaceId = FabricsType.AuthenticationSend,
                DataLength = (uint)message.Length, DataKind = SubmissionEntry.InCapsule,
                Dword10 = AuthHeader.CommandProtocol, Dword11 = (uint)message.Length,
            },
            message));
        return Response();
    }

    /// <summary>Receives an authentication message.</summary>
    public byte[] ReceiveMessage()
    {
        const int room = 4096;
        Send(Capsule(new SubmissionEntry
        {
            Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 5, NamespaceId = FabricsType.AuthenticationReceive,
            DataLength = room, DataKind = SubmissionEntry.InTransport, Dword10 = AuthHeader.CommandProtocol, Dword11 = room,
        }));
        Assert.Equal(PduType.ControllerData, PduHeader.Read(Receive(24)).Type);
        byte[] message = Receive(room);
        Assert.Equal(NvmeStatus.Success, Response().Status);
        return message;
    }

    /// <summary>Authenticates the queue.</summary>
    public async Task AuthenticateAsync(DhChapKeys keys)
    {
        var options = new NvmeTcpHostOptions { Host = "", SubsystemNqn = "nqn.2026-01.io.paddock:test", HostNqn = Secrets.RawHostNqn };
        var host = new Paddock.Nvme.Host.HostAuthentication(options, keys);
        SendMessage(host.Negotiate());
        SendMessage(await host.ReplyAsync(ReceiveMessage()));
        if (host.Confirm(ReceiveMessage()) is { } last)
        {
            SendMessage(last);
        }
    }

    public CompletionEntry Response()
    {
        byte[] pdu = Receive(24);
        Assert.Equal(PduType.Response, PduHeader.Read(pdu).Type);
        return CompletionEntry.Read(pdu.AsSpan(8));
    }

    /// <summary>Expects the connection to end for this reason.</summary>
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
