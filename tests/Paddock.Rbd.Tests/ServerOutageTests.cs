using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>Servers that lose their image or their monitor.</summary>
[Collection(nameof(FailureTests))]
public class ServerOutageTests(CephCluster cluster)
{
    private const int Block = 4096, Writers = 4, Progress = 20;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly long[] _flushed = new long[Writers];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Blocklisted_server_without_standby_ends_with_exit_code_1()
    {
        var target = await cluster.NewAsync();
        await using var owner = await ServedImage.StartAsync(target);
        await cluster.BreakLockAsync(target.Image, isBlocklisted: true);
        Assert.Equal(1, await owner.Server.ExitAsync());
        Assert.Contains("ownership lost", await owner.Server.LogAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Monitor_outage_interrupts_no_request_and_delays_a_take_over_without_loss()
    {
        var target = await cluster.NewAsync();
        await using var owner = await ServedImage.StartAsync(target);
        await using var turn = ImageTurn.Of(target.ToString());
        var waiting = turn.WaitAsync(Token);
        await Eventually.IsAsync(() => Task.FromResult(turn.Owner), static o => o is not null);
        var load = Enumerable.Range(0, Writers).Select(i => WriteAsync(owner.Disk, i)).ToArray();
        await cluster.SignalAsync("mon.a", "STOP");
        try
        {
            await ProgressAsync(load);
        }
        finally
        {
            await cluster.SignalAsync("mon.a", "CONT");
        }

        await cluster.SignalAsync("mon.a", "KILL");
        try
        {
            await ProgressAsync(load);
            await owner.Server.KillAsync();
            await Task.WhenAll(load).WaitAsync(Limit, Token);

            // nobody can be put on the blocklist
            Assert.False(waiting.IsCompleted);
        }
        finally
        {
            await cluster.RestartAsync("mon");
        }

        await waiting.WaitAsync(Limit, Token);
        await using var next = await RbdImage.OpenAsync(target, readOnly: false);
        for (int i = 0; i < Writers; i++)
        {
            byte[] data = new byte[Block];
            await next.ReadAsync(i * Block, data);
            Assert.InRange(BinaryPrimitives.ReadInt64LittleEndian(data), _flushed[i], _flushed[i] + 1);
        }
    }

    // ends when the server is killed
    private async Task WriteAsync(IBlockDevice disk, int writer)
    {
        byte[] data = new byte[Block];
        try
        {
            for (long version = 1; ; version++)
            {
                BinaryPrimitives.WriteInt64LittleEndian(data, version);
                await disk.WriteAsync(writer * Block, data, WriteFlags.None, Token);
                await disk.FlushAsync(Token);
                Volatile.Write(ref _flushed[writer], version);
            }
        }
        catch (BlockException)
        {
            // no server any more
        }
    }

    private async Task ProgressAsync(Task[] load)
    {
        long[] before = [.. _flushed];
        await Eventually.IsAsync(() => Task.FromResult(Least()), static least => least >= Progress);

        long Least()
        {
            Assert.DoesNotContain(load, static writing => writing.IsCompleted);
            return Enumerable.Range(0, Writers).Min(i => Volatile.Read(ref _flushed[i]) - before[i]);
        }
    }
}
