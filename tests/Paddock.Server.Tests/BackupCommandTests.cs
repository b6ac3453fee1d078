using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Server.Backups;
using Paddock.Server.Disks;
using Paddock.Testing.Protocols;

namespace Paddock.Server.Tests;

/// <summary>Backups by the control socket.</summary>
public sealed class BackupCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("backups-").FullName;

    [Fact]
    public async Task Stopping_server_ends_a_backup_and_leaves_nothing_of_it()
    {
        string image = Path.Combine(_folder, "disk.qcow2"), target = Path.Combine(_folder, "backup.qcow2");
        await ImageFile.CreateAsync(image, 1 << 20, null);
        var disk = await ServedDisk.OpenAsync(
            new ImageOpener("paddock", TextWriter.Null), new ServedImage { Path = image, Format = "qcow2" }, "disk", null);
        using var stop = new CancellationTokenSource();
        var log = new ServeLog(TextWriter.Null, TimeProvider.System, json: false);
        var commands = new BackupCommands([disk], log, new StoppingClock(stop), stop.Token);
        var failure = await Assert.ThrowsAsync<ToolException>(() => commands.RunAsync(new BackupLine("disk", target, "since", true)));
        Assert.Equal("the server is stopping: 'disk' was not backed up", failure.Message);
        Assert.False(File.Exists(target));
        Assert.Empty(disk.OpenNode!.Qcow2!.Snapshots.List);
        Assert.Empty(disk.OpenNode!.Qcow2.Bitmaps.List);
        Assert.Null(await disk.CloseAsync());
        Assert.Equal(0, (await Peer.RunAsync("qemu-img", ["check", image])).Code);
    }

    [Fact]
    public async Task Removed_image_is_closed_after_the_end_of_its_backup()
    {
        string image = Path.Combine(_folder, "disk.qcow2"), target = Path.Combine(_folder, "backup.qcow2");
        await ImageFile.CreateAsync(image, 1 << 20, null);
        var disk = await ServedDisk.OpenAsync(
            new ImageOpener("paddock", TextWriter.Null), new ServedImage { Path = image, Format = "qcow2" }, "disk", null);
        var log = new ServeLog(TextWriter.Null, TimeProvider.System, json: false);
        Task<string?>? closing = null;
        var commands = new BackupCommands([disk], log, new ClosingClock(() => closing ??= disk.RemoveAsync()), CancellationToken.None);
        var failure = await Assert.ThrowsAsync<ToolException>(() => commands.RunAsync(new BackupLine("disk", target, "since", true)));
        Assert.Equal("its namespace is deleted: 'disk' was not backed up", failure.Message);
        Assert.Null(await closing!);
        Assert.False(File.Exists(target));
        Assert.Equal(0, (await Peer.RunAsync("qemu-img", ["check", image])).Code);
        await Assert.ThrowsAsync<ToolException>(() => commands.RunAsync(new BackupLine("disk", target, "since", true)));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Closes the image when the backup takes its snapshot.</summary>
    private sealed class ClosingClock(Action close) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow()
        {
            close();
            return base.GetUtcNow();
        }
    }

    /// <summary>Stops the server when the backup takes its snapshot.</summary>
    private sealed class StoppingClock(CancellationTokenSource stop) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow()
        {
            stop.Cancel();
            return base.GetUtcNow();
        }
    }
}
