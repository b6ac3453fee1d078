using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Empty and impossible requests: each is answered, and the connection stays open.</summary>
public class OddRequestTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Empty_request_is_answered_without_the_device(int form)
    {
        var device = new TestDevice(1 << 20) { Records = true };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake((HeaderForm)form, "", form == 0 ? [] : ["base:allocation"]);
        foreach (var command in new[] { NbdCommand.Read, NbdCommand.Write, NbdCommand.Trim, NbdCommand.Cache, NbdCommand.WriteZeroes })
        {
            foreach (ulong offset in new ulong[] { 0, 512, 1 << 20 })
            {
                Ask(client, (HeaderForm)form, new NbdRequest(0, command, 77, offset, 0));
                AssertDone(client, (HeaderForm)form, command);
            }
        }

        Assert.Empty(device.Asked());

        // an empty block status has no extent to report, and one byte beyond the end is out of range
        if (form != 0)
        {
            Ask(client, (HeaderForm)form, new NbdRequest(0, NbdCommand.BlockStatus, 1, 0, 0));
            Assert.Equal(NbdError.Invalid, Error(client, (HeaderForm)form));
            Ask(client, (HeaderForm)form, new NbdRequest(0, NbdCommand.Read, 1, (1 << 20) + 1, 0));
            Assert.Equal(NbdError.Invalid, Error(client, (HeaderForm)form));
        }

        Ask(client, (HeaderForm)form, new NbdRequest(0, NbdCommand.Flush, 3, 0, 0));
        AssertDone(client, (HeaderForm)form, NbdCommand.Flush);
        Assert.Equal(["flush"], device.Asked());
    }

    [Fact]
    public async Task Failure_to_get_the_device_size_fails_only_the_request()
    {
        Exception? gone = null;
        var device = new TestDevice(1 << 20, length: () => gone is null ? 1 << 20 : throw gone);
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        gone = new BlockException(BlockError.Io, "the file is gone");
        client.Ask(NbdCommand.Read, 1, 0, 512);
        Assert.Equal(NbdError.Io, client.Simple().Error);
        client.Send([.. RawClient.Compact(NbdCommand.Write, 2, 0, 512), .. new byte[512]]);
        Assert.Equal(NbdError.Io, client.Simple().Error);
        client.Send([.. RawClient.Compact(NbdCommand.Write, 3, 0, 128 << 10), .. new byte[128 << 10]]);
        Assert.Equal(NbdError.Io, client.Simple().Error);
        gone = new InvalidOperationException("whatever");
        client.Ask(NbdCommand.Trim, 4, 0, 512);
        Assert.Equal(NbdError.Io, client.Simple().Error);
        gone = null;
        client.Ask(NbdCommand.Read, 5, 0, 512);
        Assert.Equal(NbdError.None, client.Simple().Error);
        client.Take(512);
    }

    [Fact]
    public async Task Export_whose_size_is_unavailable_is_rejected_and_another_can_be_chosen()
    {
        var broken = new TestDevice(1 << 20, length: static () => throw new BlockException(BlockError.Io, "the file is gone"));
        await using var bench = new Bench(
            null, new NbdExport { Name = "broken", Device = broken }, new NbdExport { Name = "good", Device = Bench.Disk().Device });
        using var client = bench.Connect();
        client.Take(Greeting.Size);
        client.Send(0, 0, 0, 3);
        foreach (var option in new[] { NbdOption.Info, NbdOption.Go })
        {
            client.Option(option, new InfoRequest("broken", []).ToBytes());
            OptionReplyHeader head;
            do
            {
                head = client.Reply().Head;
            }
            while (head.Type == OptionReplyType.Info);
            Assert.Equal(OptionReplyType.ErrorUnknown, head.Type);
        }

        client.Option(NbdOption.Go, new InfoRequest("good", []).ToBytes());
        while (client.Reply().Head is var head && head.Type != OptionReplyType.Ack)
        {
            Assert.False(head.IsError);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(13)]
    public async Task Block_status_payload_of_a_wrong_size_is_rejected_and_skipped(int size)
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended, "", "base:allocation");
        byte[] request = new byte[ExtendedRequest.Size];
        ExtendedRequest.Write(request, new NbdRequest(CommandFlags.PayloadLength, NbdCommand.BlockStatus, 5, 0, (ulong)size));
        client.Send([.. request, .. new byte[size]]);
        Assert.Equal(NbdError.Invalid, Error(client, HeaderForm.Extended));
        Ask(client, HeaderForm.Extended, new NbdRequest(0, NbdCommand.Flush, 6, 0, 0));
        AssertDone(client, HeaderForm.Extended, NbdCommand.Flush);
    }

    [Fact]
    public async Task Failed_requests_count_as_errors_and_not_as_bytes()
    {
        var device = new TestDevice(1 << 20);
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        Write(64 << 10, 0);
        Write(200 << 10, 0);
        device.Failures[DeviceCall.Write] = new BlockException(BlockError.NoSpace, "full");
        Write(4096, 0, NbdError.NoSpace);
        Write(200 << 10, 0, NbdError.NoSpace);
        Write(4096, 1 << 20, NbdError.NoSpace);
        Write(200 << 10, 1 << 20, NbdError.NoSpace);
        client.Ask(NbdCommand.Read, 1, 1 << 20, 512);
        Assert.Equal(NbdError.Invalid, client.Simple().Error);
        client.Ask(NbdCommand.Read, 1, 0, 512);
        Assert.Equal(NbdError.None, client.Simple().Error);
        client.Take(512);

        // a batch is counted before its replies arrive
        client.Ask(NbdCommand.Flush, 1, 0, 0);
        client.Simple();
        var all = bench.Server.Exports[""].Statistics;
        Assert.Equal((264L << 10, 512L, 5L), (all.BytesWritten, all.BytesRead, all.Errors));

        void Write(int length, uint offset, NbdError wanted = NbdError.None)
        {
            client.Send([.. RawClient.Compact(NbdCommand.Write, 1, offset, (uint)length), .. new byte[length]]);
            Assert.Equal(wanted, client.Simple().Error);
        }
    }

    private static void Ask(RawClient client, HeaderForm form, in NbdRequest request)
    {
        byte[] bytes = new byte[form == HeaderForm.Extended ? ExtendedRequest.Size : CompactRequest.Size];
        if (form == HeaderForm.Extended)
        {
            ExtendedRequest.Write(bytes, request);
        }
        else
        {
            CompactRequest.Write(bytes, request);
        }

        client.Send(bytes);
    }

    // a read answered in chunks ends with one without data
    private static void AssertDone(RawClient client, HeaderForm form, NbdCommand command)
    {
        if (form == HeaderForm.Simple || (form == HeaderForm.Structured && command != NbdCommand.Read))
        {
            Assert.Equal(NbdError.None, client.Simple().Error);
            return;
        }

        var (head, _) = form == HeaderForm.Structured ? client.Chunk() : client.ExtendedChunk();
        Assert.Equal((ChunkType.None, 0ul, true), (head.Type, head.Length, head.IsLast));
    }

    private static NbdError Error(RawClient client, HeaderForm form)
    {
        var (head, payload) = form == HeaderForm.Structured ? client.Chunk() : client.ExtendedChunk();
        Assert.True(head.IsError);
        return ErrorPayload.Parse(payload).Error;
    }
}
