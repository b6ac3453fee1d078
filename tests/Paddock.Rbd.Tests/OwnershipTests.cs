using System.Diagnostics;
using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Nbd;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>Who owns an image: owners that are killed, stopped or robbed, and servers that wait for them.</summary>
[Collection(nameof(FailureTests))]
public class OwnershipTests(CephCluster cluster)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Killed_owner_is_blocklisted_within_seconds_and_one_of_two_servers_takes_the_image()
    {
        var target = await NewAsync();
        await using var owner = await ServeAsync(target);
        await owner.Disk.WriteAsync(0, Filled(1), WriteFlags.None, Token);
        await owner.Disk.FlushAsync(Token);
        await using ImageTurn one = ImageTurn.Of(target.ToString()), two = ImageTurn.Of(target.ToString());
        Task[] turns = [one.WaitAsync(Token), two.WaitAsync(Token)];
        await Eventually.IsAsync(() => Task.FromResult((one.Owner, two.Owner)), static o => o is { Item1: not null, Item2: not null });
        string address = one.Owner!.Split(" at ")[1];
        Assert.All(turns, static t => Assert.False(t.IsCompleted));
        var watch = Stopwatch.StartNew();
        await owner.Server.KillAsync();
        await Task.WhenAny(turns);
        TestContext.Current.SendDiagnosticMessage($"turn after {watch.ElapsedMilliseconds} ms");
        await Task.WhenAll(turns).WaitAsync(TimeSpan.FromSeconds(30), Token);
        TestContext.Current.SendDiagnosticMessage($"both after {watch.ElapsedMilliseconds} ms");
        Assert.Contains(address, await cluster.CephAsync("osd", "blocklist", "ls"), StringComparison.Ordinal);
        var opened = await Task.WhenAll(TryOpenAsync(target), TryOpenAsync(target));
        TestContext.Current.SendDiagnosticMessage($"open after {watch.ElapsedMilliseconds} ms");
        await using var next = Assert.Single(opened, static i => i is not null)!;
        byte[] read = new byte[4096];
        await next.ReadAsync(0, read);
        Assert.Equal(Filled(1), read);
    }

    private static byte[] Filled(byte value)
    {
        byte[] data = new byte[4096];
        data.AsSpan().Fill(value);
        return data;
    }

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
        string socket = Path.Combine(Directory.CreateTempSubdirectory("paddock-owner-").FullName, "nbd");
        var server = await ServerProcess.ServeAsync(target.ToString(), "--format", "raw", "--nbd", "unix:" + socket);
        var client = await NbdClient.ConnectAsync(NbdTarget.Parse("nbd+unix:///?socket=" + socket)!, Token);
        return new Owner(server, new NbdDisk(client), socket);
    }

    /// <summary>A server that owns an image, and a client of it.</summary>
    private sealed record Owner(ServerProcess Server, NbdDisk Disk, string Socket) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Server.DisposeAsync();
            await Disk.DisposeAsync();
            Directory.Delete(Path.GetDirectoryName(Socket)!, recursive: true);
        }
    }
}
