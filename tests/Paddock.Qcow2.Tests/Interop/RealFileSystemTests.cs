using Paddock.Block;
using Paddock.Faults;
using Paddock.Posix;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Interop;

/// <summary>Real file systems that fill up, and one whose write-back fails.</summary>
public class RealFileSystemTests
{
    private const int Piece = 16 << 10;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("tmpfs", false, false, false)]
    [InlineData("tmpfs", true, false, false)]
    [InlineData("tmpfs", true, true, false)]
    [InlineData("ext4", false, false, false)]
    [InlineData("ext4", true, false, false)]
    [InlineData("ext4", false, true, false)]
    [InlineData("ext4", false, false, true)]
    [InlineData("ext4", true, false, true)]
    public async Task What_was_accepted_before_the_file_system_was_full_is_there_after_closing(
        string kind, bool zoned, bool cached, bool direct)
    {
        using var mounted = kind == "tmpfs" ? SmallFileSystem.Tmpfs(6) : SmallFileSystem.Ext4(12);
        string path = Path.Combine(mounted.Folder, "disk.qcow2");
        await CreateAsync(path, zoned);
        int accepted = 0;
        IStorage storage = FileStorage.Open(new FileOpenOptions { Path = path, DirectIo = direct });
        storage = cached ? new VolatileStorage(storage, 1 << 20) : storage;
        await using (var device = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), Token))
        {
            while (await FullDisk.AcceptsAsync(
                device.WriteAsync((long)accepted * Piece, FullDisk.Filled(Piece, accepted), cancellationToken: Token)))
            {
                accepted++;
            }

            await device.FlushAsync(Token);
        }

        Assert.InRange(accepted, 100, 1000);
        await using var again = await OpenAsync(path);
        var read = new byte[Piece];
        for (int i = 0; i < accepted; i++)
        {
            await again.ReadAsync((long)i * Piece, read, Token);
            Assert.True(read.AsSpan().SequenceEqual(FullDisk.Filled(Piece, i)), $"piece {i} of {accepted} is gone");
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task After_fdatasync_has_failed_once_no_flush_succeeds_until_the_file_is_reopened(bool zoned, bool raw)
    {
        using var mounted = SmallFileSystem.Ext4WithoutSpaceBelow(128, 12);
        string path = Path.Combine(mounted.Folder, "disk");
        await CreateAsync(path, zoned);
        var storage = FileStorage.Open(new FileOpenOptions { Path = path });
        IBlockDevice device = raw ? new RawDevice(storage) : await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), Token);
        for (int i = 0; i < 1500; i++)
        {
            await device.WriteAsync((long)i * Piece, FullDisk.Filled(Piece, i), cancellationToken: Token);
        }

        var first = await Assert.ThrowsAsync<BlockException>(() => device.FlushAsync(Token).AsTask());
        mounted.GrowBelow(200);
        for (int i = 0; i < 2; i++)
        {
            var again = await Assert.ThrowsAsync<BlockException>(() => device.FlushAsync(Token).AsTask());
            Assert.Equal((first.Error, first.Errno), (again.Error, again.Errno));
        }

        await Assert.ThrowsAsync<BlockException>(
            () => device.WriteAsync(1500L * Piece, FullDisk.Filled(Piece, 0), WriteFlags.Fua, Token).AsTask());
        await device.ReadAsync(0, new byte[Piece], Token);
        await Record.ExceptionAsync(() => device.DisposeAsync().AsTask());
        await using var reopened = FileStorage.Open(new FileOpenOptions { Path = path });
        await reopened.WriteAsync(0, new byte[1], Token);
        await reopened.FlushAsync(Token);
    }

    private static async Task CreateAsync(string path, bool zoned)
    {
        await using var storage = FileStorage.Open(new FileOpenOptions { Path = path, Create = true });
        var zones = zoned ? new ZonedCreateOptions { ZoneSize = 4 << 20 } : null;
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 64 << 20, Zoned = zones }, Token);
    }

    private static async Task<IBlockDevice> OpenAsync(string path)
        => await Qcow2Image.OpenAsync(
            FileStorage.Open(new FileOpenOptions { Path = path, ReadOnly = true }), new Qcow2OpenOptions { ReadOnly = true }, Token);
}
