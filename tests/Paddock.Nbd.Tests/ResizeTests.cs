using Paddock.Block;
using Paddock.Faults;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>The experimental RESIZE extension: its bytes, invalid requests, and the client.</summary>
public sealed class ResizeTests
{
    private const int Size = 1 << 20;
    private const ushort Offered = 1 << 9;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Resize_carries_the_new_size_as_its_offset_and_has_a_simple_reply()
    {
        await using var bench = Serve();
        using var client = bench.Connect();
        client.Handshake();
        client.Send(Convert.FromHexString("25609513" + "0000" + "0008" + "0000000000000007" + "0000000000200000" + "00000000"));
        Assert.Equal("67446698" + "00000000" + "0000000000000007", Convert.ToHexString(client.Take(16)));
        client.Send([.. RawClient.Compact(NbdCommand.Write, 8, (2 << 20) - 1, 1), 9]);
        Assert.Equal(new SimpleReply(NbdError.None, 8), client.Simple());
    }

    [Fact]
    public async Task Resize_is_answered_in_each_reply_form()
    {
        await using var bench = Serve();
        using var structured = bench.Connect();
        structured.Handshake(HeaderForm.Structured);
        structured.Ask(NbdCommand.Resize, 1, 2 << 20, 0);
        Assert.Equal("67446698" + "00000000" + "0000000000000001", Convert.ToHexString(structured.Take(16)));
        structured.Ask(NbdCommand.Resize, 2, 1000, 0);
        var (head, payload) = structured.Chunk();
        Assert.Equal((ChunkType.Error, true), (head.Type, head.IsLast));
        Assert.Equal(new ErrorPayload(NbdError.Invalid, "a size of 1000 bytes: it must be a multiple of 512, and not 0"),
            ErrorPayload.Parse(payload));
        using var extended = bench.Connect();
        extended.Handshake(HeaderForm.Extended);
        extended.Send(Convert.FromHexString("21E41C71" + "0000" + "0008" + "0000000000000003" + "0000000000300000" + "0000000000000000"));
        Assert.Equal(
            "6E8A278C" + "0001" + "0000" + "0000000000000003" + "0000000000300000"
            + "0000000000000000", Convert.ToHexString(extended.Take(32)));
    }

    [Theory]
    [InlineData(true, false, true)]
    [InlineData(false, false, false)]
    [InlineData(true, true, false)]
    public async Task Transmission_flag_reports_whether_resize_is_offered(bool asked, bool readOnly, bool offered)
    {
        await using var bench = Serve(asked, readOnly);
        Assert.Equal(offered, (await InfoAsync(bench)).Offers);
    }

    [Theory]
    [InlineData(0UL, 0u, 0, 22u)]
    [InlineData(1UL, 0u, 0, 22u)]
    [InlineData(1048577UL, 0u, 0, 22u)]
    [InlineData(0x8000_0000_0000_0000UL, 0u, 0, 75u)]
    [InlineData(0xFFFF_FFFF_FFFF_FE00UL, 0u, 0, 75u)]
    [InlineData(2097152UL, 512u, 0, 22u)]
    [InlineData(2097152UL, 0xFFFF_FFFFu, 0, 22u)]
    [InlineData(2097152UL, 0u, 2, 22u)]
    [InlineData(2097152UL, 0u, 32, 22u)]
    public async Task Invalid_size_is_rejected(ulong size, uint length, ushort flags, uint error)
    {
        await using var bench = Serve();
        using var client = bench.Connect();
        client.Handshake();
        client.Ask(NbdCommand.Resize, 5, size, length, (CommandFlags)flags);
        Assert.Equal(new SimpleReply((NbdError)error, 5), client.Simple());
        client.Ask(NbdCommand.Read, 6, Size - 512, 512);
        Assert.Equal(new SimpleReply(NbdError.None, 6), client.Simple());
        client.Take(512);
        Assert.Equal(Size, (await InfoAsync(bench)).Size);
    }

    [Theory]
    [InlineData(false, false, 22u)]
    [InlineData(true, true, 1u)]
    public async Task Resize_is_rejected_if_not_offered(bool asked, bool readOnly, uint error)
    {
        await using var bench = Serve(asked, readOnly);
        using var client = bench.Connect();
        client.Handshake();
        client.Ask(NbdCommand.Resize, 5, 2 << 20, 0);
        Assert.Equal(new SimpleReply((NbdError)error, 5), client.Simple());
        Assert.Equal(Size, (await InfoAsync(bench)).Size);
    }

    [Fact]
    public async Task Requests_of_other_connections_are_validated_against_the_current_size()
    {
        await using var bench = Serve();
        using var first = bench.Connect();
        first.Handshake();
        using var second = bench.Connect();
        second.Handshake(HeaderForm.Structured, "", "base:allocation");
        Resize(first, 2 * Size);
        second.Send([.. RawClient.Compact(NbdCommand.Write, 1, Size, 1), 7]);
        Assert.Equal(NbdError.None, second.Simple().Error);
        second.Ask(NbdCommand.BlockStatus, 2, 2 * Size - 4096, 4096);
        Assert.False(second.Chunk().Head.IsError);
        Resize(first, Size / 2);
        foreach (var (command, error) in new[] { (NbdCommand.Read, NbdError.Invalid), (NbdCommand.WriteZeroes, NbdError.NoSpace),
            (NbdCommand.Trim, NbdError.Invalid) })
        {
            second.Ask(command, 3, Size / 2, 4096);
            Assert.Equal(error, ErrorPayload.Parse(second.Chunk().Payload).Error);
        }

        // a range that was cut off reads as zeroes after growing
        Resize(first, 2 * Size);
        first.Ask(NbdCommand.Read, 4, Size, 1);
        first.Simple();
        Assert.Equal([0], first.Take(1));
    }

    [Fact]
    public async Task Client_resizes_the_export_and_updates_its_length()
    {
        await using var bench = Serve();
        await using var client = await NbdClient.ConnectAsync(bench.Target, Token);
        Assert.True(client.CanResize);
        await client.ResizeAsync(2 * Size, cancellationToken: Token);
        Assert.Equal(2 * Size, client.Length);
        await client.WriteAsync(2 * Size - 512, new byte[512], cancellationToken: Token);
        await client.ResizeAsync(512, cancellationToken: Token);
        Assert.Equal(512, client.Length);
        Assert.Equal((1000L, BlockError.InvalidArgument), await RefusedAsync(client, 1000));
        Assert.Equal(BlockError.NotSupported, (await Assert.ThrowsAsync<BlockException>(
            () => client.ResizeAsync(Size, Preallocation.Full, Token).AsTask())).Error);
        Assert.Equal(512, client.Length);
        await using var other = await NbdClient.ConnectAsync(bench.Target, Token);
        Assert.Equal(512, other.Length);
    }

    [Fact]
    public async Task Client_reports_a_server_without_resize()
    {
        await using var bench = Serve(offers: false);
        await using var client = await NbdClient.ConnectAsync(bench.Target, Token);
        await client.ResizeAsync(Size, cancellationToken: Token);
        var refused = await Assert.ThrowsAsync<BlockException>(() => client.ResizeAsync(2 * Size, cancellationToken: Token).AsTask());
        Assert.Equal("Cannot resize NBD nodes: the server does not offer it", refused.Message);
    }

    [Fact]
    public async Task Reconnected_client_sees_the_new_size()
    {
        await using var bench = Serve();
        await using var client = await NbdClient.ConnectAsync(bench.Target with { ReconnectDelay = TimeSpan.FromSeconds(30) }, Token);
        using var other = bench.Connect();
        other.Handshake();
        Resize(other, 2 * Size);
        Assert.Equal(Size, client.Length);
        bench.Server.DropConnections();
        await client.ReadAsync(0, new byte[512], Token);
        Assert.Equal(2 * Size, client.Length);
    }

    [Fact]
    public async Task Requests_run_during_repeated_resizes()
    {
        await using var bench = Serve();
        bool ends = false;
        int refused = 0;
        var workers = Enumerable.Range(0, 3).Select(i => Task.Run(async () =>
        {
            var random = new Random(i);
            await using var client = await NbdClient.ConnectAsync(bench.Target, Token);
            while (!Volatile.Read(ref ends))
            {
                long at = random.Next(Size / 4096) * 4096L;
                int length = random.Next(8) == 0 ? 512 << 10 : 4096;
                length = (int)Math.Min(length, Size - at);
                try
                {
                    await (random.Next(3) == 0 ? client.WriteAsync(at, new byte[length]) : client.ReadAsync(at, new byte[length]));
                }
                catch (BlockException e) when (e.Error is BlockError.InvalidArgument or BlockError.NoSpace)
                {
                    Interlocked.Increment(ref refused);
                }
            }
        })).ToArray();
        await using var boss = await NbdClient.ConnectAsync(bench.Target, Token);
        for (int i = 0; i < 150 || Volatile.Read(ref refused) == 0; i++)
        {
            await boss.ResizeAsync(Size / 4, cancellationToken: Token);
            await boss.ResizeAsync(Size, cancellationToken: Token);
        }

        Volatile.Write(ref ends, true);
        await Task.WhenAll(workers);
    }

    private static Bench Serve(bool offers = true, bool readOnly = false) => new(null, new NbdExport
    {
        Name = "", Device = CheckedDevice.Wrap(new ServedDevice(Bench.Disk(Size).Device)), OffersResize = offers, ReadOnly = readOnly,
    });

    private static void Resize(RawClient client, ulong size)
    {
        client.Ask(NbdCommand.Resize, 99, size, 0);
        Assert.Equal(new SimpleReply(NbdError.None, 99), client.Simple());
    }

    private static async Task<(long Asked, BlockError Error)> RefusedAsync(NbdClient client, long size)
        => (size, (await Assert.ThrowsAsync<BlockException>(() => client.ResizeAsync(size, cancellationToken: Token).AsTask())).Error);

    private static async Task<(long Size, bool Offers)> InfoAsync(Bench bench)
    {
        var only = Assert.Single(await NbdClient.ListAsync(bench.Target));
        return (only.Size, (only.Flags & Offered) != 0);
    }
}
