using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Paddock.Nvme.Host;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tests;

/// <summary>
/// A short reply of a controller never exposes stale bytes of host memory as disk data.
/// </summary>
public class ShortAnswerTests
{
    private const int Room = 4096;
    private const byte Old = 0xA5, Sent = 7;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0, false)]
    [InlineData(512, false)]
    [InlineData(Room, true)]
    public async Task Short_read_fails(int length, bool succeeds)
    {
        var (completion, room) = await AskAsync(isIo: true, (0, length));
        Assert.Equal(succeeds ? NvmeStatus.Success : NvmeStatus.DataTransferError, completion.Status);
        Assert.DoesNotContain(Old, room);
    }

    [Fact]
    public async Task Short_log_page_is_padded_with_zeroes()
    {
        var (completion, room) = await AskAsync(isIo: false, (0, 512), (512, 512));
        Assert.Equal(NvmeStatus.Success, completion.Status);
        Assert.Equal([.. Enumerable.Repeat(Sent, 1024), .. new byte[Room - 1024]], room);
    }

    [Fact]
    public async Task Data_with_a_gap_or_sent_twice_ends_the_connection()
    {
        await Assert.ThrowsAsync<ConnectionLostException>(() => AskAsync(isIo: true, (512, Room - 512)));
        await Assert.ThrowsAsync<ConnectionLostException>(() => AskAsync(isIo: true, (0, Room / 2), (0, Room / 2)));
    }

    private static async Task<(CompletionEntry Completion, byte[] Room)> AskAsync(bool isIo, params (int Offset, int Length)[] data)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var serving = Task.Run(() => AnswerAsync(listener, data), Token);
        var options = new NvmeTcpHostOptions { Host = "127.0.0.1", Port = (ushort)((IPEndPoint)listener.LocalEndPoint!).Port,
            SubsystemNqn = "nqn.a:x" };
        await using var queue = await HostQueue.OpenAsync(options, new SlabPool(), 4, Token);
        queue.IsIo = isIo;
        byte[] room = [.. Enumerable.Repeat(Old, Room)];
        var completion = await queue.RunAsync(new SubmissionEntry { Opcode = Opcode.Read, NamespaceId = 1 }, default, room, Token);
        await queue.DisposeAsync();
        await serving;
        return (completion, room);
    }

    private static async Task AnswerAsync(Socket listener, (int Offset, int Length)[] data)
    {
        using var socket = await listener.AcceptAsync(Token);
        byte[] initialize = new byte[PduHeader.InitializeSize];
        await ReceiveAsync(socket, initialize);
        new InitializePdu(0, 0, 0, 65536).WriteTo(initialize, PduType.InitializeResponse);
        await socket.SendAsync(initialize, SocketFlags.None);
        byte[] command = new byte[72];
        await ReceiveAsync(socket, command);
        ushort id = BinaryPrimitives.ReadUInt16LittleEndian(command.AsSpan(10));
        foreach (var (offset, length) in data.Where(d => d.Length > 0))
        {
            byte[] pdu = [.. new byte[PduHeader.ShortSize], .. Enumerable.Repeat(Sent, length)];
            new DataPdu(id, 0, (uint)offset, (uint)length).WriteTo(
                pdu, new PduHeader(PduType.ControllerData, PduFlags.None, PduHeader.ShortSize, PduHeader.ShortSize, (uint)pdu.Length));
            await socket.SendAsync(pdu, SocketFlags.None);
        }

        byte[] response = new byte[PduHeader.ShortSize];
        new PduHeader(PduType.Response, PduFlags.None, PduHeader.ShortSize, 0, PduHeader.ShortSize).WriteTo(response);
        new CompletionEntry(0, 0, id, NvmeStatus.Success).WriteTo(response.AsSpan(PduHeader.Size));
        await socket.SendAsync(response, SocketFlags.None);
        try
        {
            await socket.ReceiveAsync(new byte[1], SocketFlags.None);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // the host closed the connection, as expected
        }
    }

    private static async Task ReceiveAsync(Socket socket, byte[] bytes)
    {
        for (int done = 0, count; done < bytes.Length; done += count)
        {
            count = await socket.ReceiveAsync(bytes.AsMemory(done), SocketFlags.None);
            Assert.NotEqual(0, count);
        }
    }
}
