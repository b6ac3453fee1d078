using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Requests that may cover the whole disk.</summary>
public class LongRequestTests
{
    private const long EndlessSize = 1L << 60;

    [Fact]
    public async Task Disconnect_ends_long_requests_even_if_they_fill_the_queue()
    {
        var device = Endless();
        await using var bench = Bench.Of(device);
        using (var client = bench.Connect())
        {
            client.Handshake(HeaderForm.Extended);

            // above the limit of the receive loop, which waits for them and cannot notice the disconnect
            for (int i = 0; i < NbdLimits.MaxInFlight + 50; i++)
            {
                client.Send(Extended(NbdCommand.Cache, (ulong)i, EndlessSize));
            }

            await UntilAsync(() => device.Count(DeviceCall.Read) > 8);
        }

        await UntilAsync(() => bench.Server.Connections == 0);
    }

    [Fact]
    public async Task Disconnect_request_ends_long_requests()
    {
        var device = Endless();
        await using var bench = Bench.Of(device);
        using (var client = bench.Connect())
        {
            client.Handshake(HeaderForm.Extended);
            client.Send(Extended(NbdCommand.WriteZeroes, 1, EndlessSize));
            await UntilAsync(() => Zeroes(device) > 2);
            client.Send(Extended(NbdCommand.Disconnect, 2, 0));
        }

        await UntilAsync(() => bench.Server.Connections == 0);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(4)]
    public async Task Stop_waits_for_long_requests_until_its_limit(int command)
    {
        var device = Endless();
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended);
        for (int i = 0; i < 20; i++)
        {
            client.Send(Extended((NbdCommand)command, (ulong)i, EndlessSize));
        }

        await UntilAsync(() => device.Count(DeviceCall.Read) + Zeroes(device) > 8);
        await bench.Server.StopAsync(TimeSpan.FromMilliseconds(100))
            .WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task One_long_request_per_client_runs_while_others_are_answered()
    {
        int most = 0;
        var device = Endless(now => most = Math.Max(most, now));
        await using var bench = Bench.Of(device);
        using var greedy = bench.Connect();
        greedy.Handshake(HeaderForm.Extended);
        for (int i = 0; i < 200; i++)
        {
            greedy.Send(Extended(NbdCommand.Cache, (ulong)i, EndlessSize));
        }

        await UntilAsync(() => device.Count(DeviceCall.Read) > 8);
        using var modest = bench.Connect();
        modest.Handshake(HeaderForm.Structured, "", "base:allocation");
        foreach (var (
            command, length) in new[] { (NbdCommand.BlockStatus, 1u << 31), (NbdCommand.Cache, 4u << 20), (NbdCommand.Trim, 1u << 30) })
        {
            modest.Ask(command, 9, 0, length);
            Assert.False(command == NbdCommand.BlockStatus ? modest.Chunk().Head.IsError : modest.Simple().Error != NbdError.None);
        }

        // at most one per client
        Assert.InRange(most, 1, 2);
    }

    [Fact]
    public async Task Long_write_zeroes_runs_in_pieces_and_is_flushed_at_its_end()
    {
        var device = Endless();
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended);
        client.Send(Extended(NbdCommand.WriteZeroes, 1, 4L << 30, CommandFlags.Fua));
        Assert.False(client.ExtendedChunk().Head.IsError);
        Assert.InRange(Zeroes(device), 100, 1000);
        Assert.Equal(1, device.Count(DeviceCall.Flush));
        int before = Zeroes(device);
        client.Send(Extended(NbdCommand.WriteZeroes, 2, 4L << 30, CommandFlags.FastZero));
        Assert.False(client.ExtendedChunk().Head.IsError);
        Assert.Equal(before + 1, Zeroes(device));
    }

    private static byte[] Extended(NbdCommand command, ulong cookie, long length, CommandFlags flags = 0)
    {
        byte[] bytes = new byte[ExtendedRequest.Size];
        ExtendedRequest.Write(bytes, new NbdRequest(flags, command, cookie, 0, (ulong)length));
        return bytes;
    }

    private static async Task UntilAsync(Func<bool> isSo)
    {
        for (int i = 0; i < 6000 && !isSo(); i++)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(isSo());
    }

    // an empty disk of 2^60 bytes that blocks the calling thread, as a file does
    private static TestDevice Endless(Action<int>? reading = null)
    {
        int now = 0;
        return new TestDevice(512, BlockLimits.Bytes, length: static () => EndlessSize)
        {
            Around = (request, run) => request.Call == DeviceCall.Read ? run() : default,
            Reads = (_, _) =>
            {
                reading?.Invoke(Interlocked.Increment(ref now));
                Thread.SpinWait(2000);
                Interlocked.Decrement(ref now);
                return default;
            },
            Status = static (offset, length) => new BlockStatus(
                Math.Min(length, 65536 - (offset % 65536)), BlockStatusFlags.Allocated | BlockStatusFlags.Data),
        };
    }

    private static int Zeroes(TestDevice device) => device.Count(DeviceCall.WriteZeroes, DeviceCall.Discard);
}
