using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Posix.Tests;

public sealed class FileStorageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Reading_past_the_end_returns_zeroes_and_writing_past_it_grows_the_file()
    {
        await using var file = Open("a", ImageLock.None);
        await file.WriteAsync(5, new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken);
        var read = new byte[] { 9, 9, 9, 9, 9, 9 };
        await file.ReadAsync(4, read, TestContext.Current.CancellationToken);
        Assert.Equal([0, 1, 2, 3, 0, 0], read);
        Assert.Equal(8, file.Length);
    }

    [Fact]
    public async Task Zeroes_that_may_unmap_leave_a_hole_and_keep_the_length()
    {
        await using var file = Open("a", ImageLock.None);
        var token = TestContext.Current.CancellationToken;
        await file.WriteAsync(0, Enumerable.Repeat((byte)7, 65536).ToArray(), token);
        await file.WriteZeroesAsync(4096, 8192, ZeroFlags.MayUnmap, token);
        var read = new byte[16384];
        await file.ReadAsync(0, read, token);
        Assert.True(read.AsSpan(4096, 8192).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(read.AsSpan(0, 4096).IndexOfAnyExcept((byte)7) < 0);
        Assert.True(read.AsSpan(12288).IndexOfAnyExcept((byte)7) < 0);
        Assert.Equal(65536, file.Length);
    }

    [Fact]
    public void Missing_file_and_directory_are_rejected_with_the_error_text_of_the_system()
    {
        string missing = Path.Combine(_folder, "none");
        var failure = Assert.Throws<BlockException>(() => FileStorage.Open(new() { Path = missing }));
        Assert.Equal($"Could not open '{missing}': No such file or directory", failure.Message);
        Assert.Equal((BlockError.NotFound, 2), (failure.Error, failure.Errno));
        Assert.Equal(BlockError.IsDirectory, Assert.Throws<BlockException>(() => FileStorage.Open(new() { Path = _folder })).Error);
        Assert.Equal(
            BlockError.IsDirectory, Assert.Throws<BlockException>(() => FileStorage.Open(new() { Path = _folder, ReadOnly = true })).Error);
    }

    [Fact]
    public async Task Second_writer_is_rejected_as_in_QEMU()
    {
        await using var first = Open("a", ImageLock.Write);
        Assert.Equal("Failed to get \"write\" lock", Refusal(ImageLock.Write).Message);
        var reader = Refusal(ImageLock.ReadShared);
        Assert.Equal("Failed to get shared \"write\" lock", reader.Message);
        Assert.Equal($"Is another process using the image [{Path.Combine(_folder, "a")}]?", reader.Hint);
        await using var forced = Open("a", ImageLock.ForceShare);
    }

    [Fact]
    public async Task Two_writers_of_a_raw_image_may_share_it_as_in_QEMU()
    {
        await using var first = Open("a", ImageLock.WriteShared);
        await using var second = Open("a", ImageLock.WriteShared);
        Assert.Equal("Failed to get shared \"write\" lock", Refusal(ImageLock.ReadShared).Message);
    }

    [Fact]
    public async Task Open_writer_makes_qemu_io_fail()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-io"), "needs qemu-io");
        await using var first = Open("a", ImageLock.Write);
        using var qemu = StartQemu("raw", "-c", "write 0 512");
        string errors = await qemu.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("Failed to get \"write\" lock", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Writing_qemu_io_makes_open_fail()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-io"), "needs qemu-io");
        Assert.SkipUnless(File.Exists("/usr/bin/qemu-img"), "needs qemu-img");
        using (var create = Process.Start("/usr/bin/qemu-img", ["create", "-q", "-f", "qcow2", Path.Combine(_folder, "a"), "1M"]))
        {
            await create.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        using var qemu = StartQemu("qcow2");
        try
        {
            // its reply shows that the image is open
            await qemu.StandardInput.WriteLineAsync("write 0 512");
            await qemu.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
            await qemu.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
            Assert.Equal("Failed to get \"write\" lock", Refusal(ImageLock.Write).Message);
            Assert.Equal("Failed to get shared \"write\" lock", Refusal(ImageLock.ReadShared).Message);
            await using var forced = Open("a", ImageLock.ForceShare);
        }
        finally
        {
            qemu.Kill();
        }
    }

    [Fact]
    public async Task Reads_and_writes_through_the_checked_device_allocate_nothing()
    {
        var token = TestContext.Current.CancellationToken;
        await using var device = CheckedDevice.Wrap(new RawDevice(Open("a", ImageLock.None)));
        await device.ResizeAsync(65536, cancellationToken: token);
        var buffer = new byte[4096];
        Transfer(device, buffer, 100);
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool synchronous = Transfer(device, buffer, 1000);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // the smallest object takes 24 bytes: below 24 bytes per pair, no request allocates. The runtime itself may allocate a little once
        Assert.True(allocated < 24 * 1000, $"1,000 writes and 1,000 reads allocated {allocated} bytes");
        Assert.True(synchronous);
    }

    private static bool Transfer(CheckedDevice device, byte[] buffer, int times)
    {
        bool synchronous = true;
        for (int i = 0; i < times; i++)
        {
            var write = device.WriteAsync(i % 16 * 4096, buffer);
            synchronous &= write.IsCompletedSuccessfully;
            var read = device.ReadAsync(i % 16 * 4096, buffer);
            synchronous &= read.IsCompletedSuccessfully;
        }

        return synchronous;
    }

    private FileStorage Open(string name, ImageLock mode)
        => FileStorage.Open(
            new() { Path = Path.Combine(_folder, name), Create = true, Lock = mode, ReadOnly = mode == ImageLock.ForceShare });

    private ImageLockedException Refusal(ImageLock mode)
        => Assert.Throws<ImageLockedException>(
            () => FileStorage.Open(new() { Path = Path.Combine(_folder, "a"), Lock = mode, ReadOnly = mode != ImageLock.Write }));

    private Process StartQemu(string format, params string[] arguments)
    {
        var start = new ProcessStartInfo("/usr/bin/qemu-io")
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        foreach (string argument in (string[])["-f", format, .. arguments, Path.Combine(_folder, "a")])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
