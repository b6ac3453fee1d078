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
        var target = await NewAsync();
        await using var owner = await ServeAsync(target);
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

    private async Task<RbdTarget> NewAsync()
    {
        var target = cluster.TargetOf(CephCluster.NewImage());
        await RbdImage.CreateAsync(target, 8 << 20);
        return target;
    }

    private static async Task<Owner> ServeAsync(RbdTarget target)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-owner-").FullName, socket = Path.Combine(folder, "nbd");
        var server = await ServerProcess.ServeAsync(target.ToString(), "--format", "raw", "--nbd", "unix:" + socket);
        var client = await new ImageOpener("test", TextWriter.Null).OpenAsync(
            "nbd+unix:///?socket=" + socket, new OpenSettings { ReadOnly = false, Format = "raw" });
        return new Owner(server, client, folder);
    }

    /// <summary>A server that owns an image, and a client of it.</summary>
    private sealed record Owner(ServerProcess Server, ImageNode Client, string Folder) : IAsyncDisposable
    {
        public IBlockDevice Disk => Client.Device;

        public async ValueTask DisposeAsync()
        {
            await Server.DisposeAsync();
            await Client.DisposeAsync();
            Directory.Delete(Folder, recursive: true);
        }
    }
}
