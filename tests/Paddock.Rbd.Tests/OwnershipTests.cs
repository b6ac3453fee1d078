using Paddock.Block;
using Paddock.Images;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>Who owns an image: owners that are killed, stopped or robbed, and servers that wait for them.</summary>
[Collection(nameof(FailureTests))]
public class OwnershipTests(CephCluster cluster)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Killed_owner_is_blocklisted_and_one_of_two_servers_takes_the_image()
    {
        var target = await cluster.NewAsync();
        await using var owner = await ServedImage.StartAsync(target);
        await owner.Disk.WriteAsync(0, Filled(1), WriteFlags.None, Token);
        await owner.Disk.FlushAsync(Token);
        await using ImageTurn one = ImageTurn.Of(target.ToString()), two = ImageTurn.Of(target.ToString());
        Task[] turns = [one.WaitAsync(Token), two.WaitAsync(Token)];
        string address = await AddressAsync(one);
        await AddressAsync(two);
        Assert.All(turns, static t => Assert.False(t.IsCompleted));
        await owner.Server.KillAsync();
        await Task.WhenAll(turns).WaitAsync(Limit, Token);
        Assert.Contains(address, await cluster.CephAsync("osd", "blocklist", "ls"), StringComparison.Ordinal);
        var opened = await Task.WhenAll(TryOpenAsync(target), TryOpenAsync(target));
        await using var next = Assert.Single(opened, static i => i is not null)!;
        Assert.Equal(Filled(1), await ReadAsync(next));
    }

    [Fact]
    public async Task Stopped_owner_answers_nothing_after_it_is_resumed()
    {
        var target = await cluster.NewAsync();
        await using var owner = await ServedImage.StartAsync(target);
        byte[] data = new byte[4096];
        await owner.Disk.WriteAsync(0, Filled(1), WriteFlags.None, Token);
        await owner.Disk.FlushAsync(Token);
        await owner.Disk.ReadAsync(0, data, Token);
        await using (var turn = ImageTurn.Of(target.ToString()))
        {
            var waiting = turn.WaitAsync(Token);
            await AddressAsync(turn);
            await owner.Server.SignalAsync("STOP");
            await waiting.WaitAsync(Limit, Token);
        }

        await using var next = await RbdImage.OpenAsync(target, readOnly: false);
        await next.WriteAsync(0, Filled(2));
        await next.FlushAsync();

        // these are the first that it sees when it runs again
        var read = owner.Disk.ReadAsync(0, data, Token).AsTask();
        var write = owner.Disk.WriteAsync(0, Filled(3), WriteFlags.None, Token).AsTask();
        await owner.Server.SignalAsync("CONT");
        await Assert.ThrowsAsync<BlockException>(() => read.WaitAsync(Limit, Token));
        await Assert.ThrowsAsync<BlockException>(() => write.WaitAsync(Limit, Token));
        await Assert.ThrowsAsync<BlockException>(async () => await owner.Disk.FlushAsync(Token));
        Assert.Equal(Filled(2), await ReadAsync(next));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Lock_that_is_broken_by_hand_is_noticed_without_requests_and_nothing_is_written_any_more(bool isBlocklisted)
    {
        string image = CephCluster.NewImage(), name = cluster.NameOf(image);
        string paddock = string.Join(' ', ServerProcess.Program);
        await Peer.MustAsync("bash", "-c", $"{paddock} create {name} 16M --zone-size 4M --conventional 1");
        await using (var node = await OpenAsync(name))
        {
            var owned = Assert.Single(node.Owned);
            await node.Device.Zones!.AppendAsync(4 << 20, Filled(1), cancellationToken: Token);
            await node.Device.WriteAsync(0, Filled(1), WriteFlags.None, Token);
            await node.Device.FlushAsync(Token);
            await node.Device.WriteAsync(0, Filled(2), WriteFlags.None, Token);
            string address = await cluster.BreakLockAsync(image, isBlocklisted);
            await owned.Lost.WaitAsync(Limit, Token);
            Assert.NotNull(owned.LossReason);
            byte[] data = Filled(3);
            Func<Task>[] requests =
            [
                async () => await node.Device.ReadAsync(0, data, Token),
                async () => await node.Device.WriteAsync(0, data, WriteFlags.None, Token),
                async () => await node.Device.FlushAsync(Token),
                async () => await node.Device.Zones!.AppendAsync(4 << 20, data, cancellationToken: Token),
                async () => await node.Device.Zones!.ReportAsync(0, new ZoneDescriptor[4], Token),
                async () => await node.Device.Zones!.ManageAsync(ZoneAction.Reset, 4 << 20, 4 << 20, Token),
                async () => await node.Device.WriteZeroesAsync(0, 4096, ZeroFlags.None, Token),
                async () => await node.Device.GetStatusAsync(0, 4096, Token),
            ];
            foreach (var request in requests)
            {
                Assert.Equal(BlockError.NotOwner, (await Assert.ThrowsAsync<BlockException>(request)).Error);
            }

            await Eventually.IsAsync(
                () => cluster.CephAsync("osd", "blocklist", "ls"), list => list.Contains(address, StringComparison.Ordinal));
            await Assert.ThrowsAsync<BlockException>(async () => await node.DisposeAsync().AsTask().WaitAsync(Limit, Token));
        }

        // by a new client of the same process
        await using var next = await OpenAsync(name);
        byte[] read = new byte[4096];
        await next.Device.ReadAsync(0, read, Token);
        Assert.Contains(read[0], (byte[])[1, 2]);
        var zones = new ZoneDescriptor[4];
        await next.Device.Zones!.ReportAsync(0, zones, Token);
        Assert.Equal((4 << 20) + 4096, zones[1].WritePointer);
    }

    [Fact]
    public async Task Owner_keeps_the_image_while_an_osd_is_stopped_or_restarted_and_while_it_is_busy()
    {
        var target = await cluster.NewAsync();
        await using var owner = await RbdImage.OpenAsync(target, readOnly: false, caches: false);
        await using var waiter = RbdSuccession.Open(target);
        Assert.Equal(SuccessionState.Owned, await waiter.LookAsync());
        var look = waiter.LookAsync();
        await cluster.SignalAsync("osd.0", "STOP");
        await Eventually.IsAsync(() => Task.FromResult(owner.IsConfirmed), static isConfirmed => !isConfirmed);
        await cluster.SignalAsync("osd.0", "CONT");
        Assert.Equal(SuccessionState.Owned, await look);
        await owner.ConfirmAsync();
        look = waiter.LookAsync();
        await cluster.SignalAsync("osd.0", "KILL");
        await cluster.RestartAsync("osd");
        Assert.NotEqual(SuccessionState.Free, await look);
        using var stop = new CancellationTokenSource();
        var load = Enumerable.Range(0, 16).Select(i => WriteUntilAsync(owner, i * 4096, stop.Token)).ToArray();
        for (int i = 0; i < 20; i++)
        {
            Assert.NotEqual(SuccessionState.Free, await waiter.LookAsync());
        }

        await stop.CancelAsync();
        await Task.WhenAll(load);
        await owner.ConfirmAsync();
        Assert.Null(owner.LossReason);
    }

    [Fact]
    public async Task Closed_image_is_handed_over_at_once_and_leaves_no_object_behind()
    {
        var target = await cluster.NewAsync();
        string name = await ObjectOfAsync(target);
        await using var turn = ImageTurn.Of(target.ToString());
        await turn.WaitAsync(Token);
        for (int i = 0; i < 3; i++)
        {
            var owner = await RbdImage.OpenAsync(target, readOnly: false);
            Assert.Contains(name, await ObjectsAsync());
            var waiting = turn.WaitAsync(Token);
            await AddressAsync(turn);
            await owner.DisposeAsync();
            await waiting.WaitAsync(Limit, Token);
            Assert.Null(turn.Owner);
        }

        Assert.DoesNotContain(name, await ObjectsAsync());
    }

    [Fact]
    public async Task Owner_without_the_right_to_objects_of_its_own_is_judged_by_the_cluster()
    {
        var target = await cluster.NewAsync();
        string keyring = cluster.Keyring + ".narrow";
        await cluster.CephAsync(
            "auth", "get-or-create", "client.narrow", "mon", "profile rbd", "osd", "allow rwx pool=rbd object_prefix rbd_", "-o", keyring);
        var narrow = target with { User = "narrow", Options = [KeyValuePair.Create("keyring", keyring)] };
        await using var waiter = RbdSuccession.Open(target);
        await using (var owner = await RbdImage.OpenAsync(narrow, readOnly: false))
        {
            await owner.WriteAsync(0, Filled(1));
            await owner.FlushAsync();
            await owner.ConfirmAsync();
            Assert.Equal(SuccessionState.Owned, await waiter.LookAsync());
            Assert.Null(await TryOpenAsync(target));
            await cluster.BreakLockAsync(target.Image, isBlocklisted: true);
            await owner.Lost.WaitAsync(Limit, Token);
        }

        Assert.Equal(SuccessionState.Free, await waiter.LookAsync());
    }

    // images of other tests, whose owners were killed, leave theirs behind
    private static async Task<string> ObjectOfAsync(RbdTarget target)
    {
        await using var exclusive = await Task.Run(() => RbdContestedLock.Open(target));
        return $"paddock_owner.{exclusive.Id}";
    }

    private async Task<string[]> ObjectsAsync() => (await cluster.RadosAsync("ls")).Split('\n');

    private static byte[] Filled(byte value)
    {
        byte[] data = new byte[4096];
        data.AsSpan().Fill(value);
        return data;
    }

    private static async Task<byte[]> ReadAsync(RbdImage image)
    {
        byte[] data = new byte[4096];
        await image.ReadAsync(0, data);
        return data;
    }

    private static async Task<string> AddressAsync(ImageTurn turn)
        => (await Eventually.IsAsync(() => Task.FromResult(turn.Owner), static o => o is not null))!.Split(" at ")[1];

    private static async Task<RbdImage?> TryOpenAsync(RbdTarget target)
    {
        try
        {
            return await RbdImage.OpenAsync(target, readOnly: false);
        }
        catch (BlockException e) when (e.Error == BlockError.Busy)
        {
            return null;
        }
    }

    private static async Task WriteUntilAsync(RbdImage image, long offset, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await image.WriteAsync(offset, Filled(7));
        }
    }

    private static ValueTask<ImageNode> OpenAsync(string name)
        => new ImageOpener("test", TextWriter.Null).OpenAsync(name, new OpenSettings { ReadOnly = false });
}
