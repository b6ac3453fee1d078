using System.Buffers.Binary;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols;

namespace Paddock.Nbd.Tests;

/// <summary>The client against servers with an older handshake.</summary>
public class OldServerTests
{
    private const int Size = 1 << 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Oldstyle_server_is_used_and_listed()
    {
        var target = Serve(socket =>
        {
            Greet(socket, NbdMagic.Oldstyle, Oldstyle(flags: TransmissionFlags.HasFlags | TransmissionFlags.SendFlush));
            AnswerReads(socket);
        });
        await using var client = await NbdClient.ConnectAsync(target, Token);
        Assert.Equal((Size, 0, 512u), (client.Length, client.Info.Headers, client.Info.MinimumBlock));
        byte[] got = new byte[512];
        await client.ReadAsync(1024, got, Token);
        Assert.All(got, b => Assert.Equal(5, b));
    }

    [Fact]
    public async Task Oldstyle_server_rejects_export_names_and_tls()
    {
        var named = await FailsAsync(Serve(s => Greet(s, NbdMagic.Oldstyle, Oldstyle(0))) with { ExportName = "x" });
        Assert.Equal("Server does not support non-empty export names", named.Message);
        using var none = new Transport.TlsCredentials();
        var secured = await FailsAsync(Serve(s => Greet(s, NbdMagic.Oldstyle, Oldstyle(0))) with { Tls = none });
        Assert.Equal("Server does not support STARTTLS", secured.Message);
        var list = await NbdClient.ListAsync(Serve(s => Greet(s, NbdMagic.Oldstyle, Oldstyle(TransmissionFlags.HasFlags))));
        Assert.Equal(("", Size), (Assert.Single(list).Name, list[0].Size));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Server_that_supports_only_EXPORT_NAME_is_used(int handshakeFlags)
    {
        var flags = (HandshakeFlags)handshakeFlags;
        var target = Serve(socket =>
        {
            Greet(socket, NbdMagic.Option, [0, (byte)flags]);
            Receive(socket, ClientFlags.Size);
            while (true)
            {
                var head = OptionHeader.Parse(Receive(socket, OptionHeader.Size));
                byte[] payload = Receive(socket, (int)head.Length);
                if (head.Option == NbdOption.ExportName)
                {
                    Assert.Equal("disk"u8.ToArray(), payload);
                    break;
                }

                Assert.NotEqual(HandshakeFlags.None, flags);
                byte[] refusal = new byte[OptionReplyHeader.Size];
                new OptionReplyHeader(head.Option, OptionReplyType.ErrorUnsupported, 0).WriteTo(refusal);
                socket.Send(refusal);
            }

            byte[] reply = new byte[ExportNameReply.Size + ((flags & HandshakeFlags.NoZeroes) == 0 ? ExportNameReply.Zeroes : 0)];
            new ExportNameReply(Size, TransmissionFlags.HasFlags).WriteTo(reply);
            socket.Send(reply);
            AnswerReads(socket);
        });
        await using var client = await NbdClient.ConnectAsync(target with { ExportName = "disk" }, Token);
        byte[] got = new byte[512];
        await client.ReadAsync(0, got, Token);
        Assert.All(got, b => Assert.Equal(5, b));
    }

    private static async Task<BlockException> FailsAsync(NbdTarget target)
        => await Assert.ThrowsAsync<BlockException>(async () => await NbdClient.ConnectAsync(target, Token));

    // serves one client
    private static NbdTarget Serve(Action<Socket> talk)
    {
        var (listener, port) = Peer.Loopback();
        _ = Task.Run(async () =>
        {
            using var socket = await listener.AcceptAsync(Token);
            listener.Dispose();
            socket.ReceiveTimeout = 30000;
            talk(socket);
        });
        return new NbdTarget { Host = "127.0.0.1", Port = port };
    }

    private static void Greet(Socket socket, ulong second, byte[] rest)
    {
        byte[] begin = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(begin, NbdMagic.Greeting);
        BinaryPrimitives.WriteUInt64BigEndian(begin.AsSpan(8), second);
        socket.Send([.. begin, .. rest]);
    }

    private static byte[] Oldstyle(TransmissionFlags flags)
    {
        byte[] rest = new byte[OldstyleGreeting.Size - OldstyleGreeting.Begin];
        BinaryPrimitives.WriteUInt64BigEndian(rest, Size);
        BinaryPrimitives.WriteUInt32BigEndian(rest.AsSpan(8), (uint)flags);
        return rest;
    }

    private static void AnswerReads(Socket socket)
    {
        while (CompactRequest.Parse(Receive(socket, CompactRequest.Size)) is { Command: NbdCommand.Read } request)
        {
            byte[] reply = new byte[SimpleReply.Size + (int)request.Length];
            reply.AsSpan(SimpleReply.Size).Fill(5);
            new SimpleReply(NbdError.None, request.Cookie).WriteTo(reply);
            socket.Send(reply);
        }
    }

    private static byte[] Receive(Socket socket, int count)
    {
        byte[] bytes = new byte[count];
        for (int at = 0, came; at < count; at += came)
        {
            came = socket.Receive(bytes.AsSpan(at));
            Assert.True(came > 0, "the client hung up");
        }

        return bytes;
    }
}
