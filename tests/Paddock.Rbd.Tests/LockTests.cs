using System.Diagnostics;
using Paddock.Block;
using Paddock.Testing.Protocols;

namespace Paddock.Rbd.Tests;

/// <summary>The exclusive lock: one writer, whose name others are told.</summary>
public class LockTests(CephCluster cluster)
{
    [Fact]
    public async Task Second_writer_is_refused_with_the_name_of_the_owner()
    {
        await using var first = await cluster.CreateAsync(1 << 20);
        await first.Image.ConfirmAsync();
        var failure = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(first.Image.Target, readOnly: false));
        Assert.True(failure.Error == BlockError.Busy, failure.ToString());
        string lockers = await cluster.RbdAsync("lock", "ls", first.Image.Target.Spec);
        string owner = lockers.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .First(static w => w.StartsWith("client.", StringComparison.Ordinal));
        Assert.Contains($"is in use by {owner} at 127.0.0.1:", failure.Message, StringComparison.Ordinal);

        // refusing has not cost the owner its lock
        await first.Image.ConfirmAsync();
        await first.WriteAsync(0, new byte[512], TestContext.Current.CancellationToken);
        await first.FlushAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Reader_is_admitted_beside_the_writer()
    {
        await using var writer = await cluster.CreateAsync(1 << 20);
        await writer.WriteAsync(0, new byte[] { 5 }, TestContext.Current.CancellationToken);
        await writer.FlushAsync(TestContext.Current.CancellationToken);
        await using var reader = await RbdImage.OpenAsync(writer.Image.Target, readOnly: true);
        byte[] read = new byte[1];
        await reader.ReadAsync(0, read);
        Assert.Equal(5, read[0]);
        Assert.Null(reader.LossReason);
    }

    [Fact]
    public async Task Closed_image_is_free_for_the_next_writer()
    {
        var target = cluster.TargetOf(CephCluster.NewImage());
        await RbdImage.CreateAsync(target, 1 << 20);
        for (int i = 0; i < 3; i++)
        {
            await using var image = await RbdImage.OpenAsync(target, readOnly: false);
            await image.ConfirmAsync();
        }
    }

    [Fact]
    public async Task Qemu_cannot_write_to_an_image_that_is_open_here_nor_take_it_away()
    {
        await using var storage = await cluster.CreateAsync(1 << 20);
        var run = await Peer.RunAsync("qemu-io", "-f", "raw", "-c", "write 0 512", storage.Name);
        Assert.Contains("Read-only file system", run.Out + run.Error, StringComparison.Ordinal);
        await storage.Image.ConfirmAsync();
    }

    [Fact]
    public async Task Image_that_qemu_writes_is_refused_until_qemu_is_killed_and_then_qemu_is_blocklisted()
    {
        string image = CephCluster.NewImage();
        var target = cluster.TargetOf(image);
        await RbdImage.CreateAsync(target, 1 << 20);
        using var qemu = Process.Start(new ProcessStartInfo("qemu-io", ["-f", "raw", cluster.NameOf(image)])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        await qemu.StandardInput.WriteLineAsync("write 0 512");
        await qemu.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string? line;
        do
        {
            line = await qemu.StandardOutput.ReadLineAsync(limit.Token);
        }
        while (line?.Contains("wrote 512", StringComparison.Ordinal) == false);
        var refused = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(target, readOnly: false));
        Assert.Equal(BlockError.Busy, refused.Error);
        string address = refused.Message.Split(" at ")[1].Split(',')[0];
        qemu.Kill();
        await qemu.WaitForExitAsync(limit.Token);
        await using var image2 = await OpenOnceFreeAsync(target, limit.Token);
        await image2.ConfirmAsync();
        Assert.Contains(address, await cluster.CephAsync("osd", "blocklist", "ls"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Blocklisted_client_fails_every_request_with_a_clear_text()
    {
        await using var storage = await cluster.CreateAsync(1 << 20);
        var refused = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(storage.Image.Target, readOnly: false));
        await cluster.CephAsync("osd", "blocklist", "add", refused.Message.Split(" at ")[1].Split(',')[0]);
        BlockException? failure = null;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (failure is null)
        {
            limit.Token.ThrowIfCancellationRequested();
            try
            {
                await storage.WriteAsync(0, new byte[512], limit.Token);
                await storage.FlushAsync(limit.Token);
            }
            catch (BlockException e)
            {
                failure = e;
            }
        }

        Assert.Contains("blocklisted", failure.Message, StringComparison.Ordinal);
        Assert.Equal((BlockError.NotOwner, 108), (failure.Error, failure.Errno));
        await storage.Lost.WaitAsync(limit.Token);
        Assert.Contains("blocklisted", storage.LossReason, StringComparison.Ordinal);
        await Assert.ThrowsAsync<BlockException>(async () => await storage.FlushAsync(limit.Token));
        Assert.False(storage.IsConfirmed);
    }

    // the watch of a dead client ends after a time (osd_client_watch_timeout, short in the tests' cluster)
    private static async Task<RbdImage> OpenOnceFreeAsync(RbdTarget target, CancellationToken limit)
    {
        while (true)
        {
            try
            {
                return await RbdImage.OpenAsync(target, readOnly: false);
            }
            catch (BlockException e) when (e.Error == BlockError.Busy)
            {
                await Task.Delay(200, limit);
            }
        }
    }
}
