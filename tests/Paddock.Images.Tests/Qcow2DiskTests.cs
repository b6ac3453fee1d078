using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Library entry point for image files: <see cref="Qcow2Disk"/>.</summary>
public sealed class Qcow2DiskTests : IDisposable
{
    private const long MiB = 1 << 20;

    private readonly TempFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Created_disk_keeps_what_was_written()
    {
        string path = _folder.File("a.qcow2");
        await using (var disk = await Qcow2Disk.CreateAsync(path, 10 * MiB, cancellationToken: Token))
        {
            Assert.Equal((10 * MiB, "qcow2", path), (disk.Length, disk.Format, disk.Name));
            Assert.Null(disk.Zones);
            Assert.Empty(disk.Warnings);
            await disk.WriteAsync(5 * MiB, Bytes(4096), cancellationToken: Token);
        }

        await using var again = await Qcow2Disk.OpenAsync(path, cancellationToken: Token);
        Assert.Equal((10 * MiB, 65536, 3), (again.Info.VirtualSize, again.Info.ClusterSize, again.Info.Version));
        byte[] found = new byte[4096];
        await again.ReadAsync(5 * MiB, found, Token);
        Assert.Equal(Bytes(4096), found);
    }

    [Fact]
    public async Task Zoned_disk_appends_reports_and_reads_through_a_stream()
    {
        var zones = new ZonedCreateOptions { ZoneSize = MiB, ZoneCapacity = MiB / 2, ConventionalZones = 1, MaxOpenZones = 2 };
        await using var disk = await Qcow2Disk.CreateAsync(
            _folder.File("z.qcow2"), 8 * MiB, new() { Zoned = zones }, cancellationToken: Token);
        long offset = await disk.Zones!.AppendAsync(3 * MiB, Bytes(4096), cancellationToken: Token);
        Assert.Equal(3 * MiB, offset);
        var report = await disk.Zones.ReportAllAsync(Token);
        Assert.Equal(8, report.Length);
        Assert.Equal((ZoneType.Conventional, ZoneCondition.ImplicitlyOpen), (report[0].Type, report[3].Condition));
        Assert.Equal((3 * MiB) + 4096, report[3].WritePointer);
        await using var stream = disk.OpenStream();
        stream.Position = offset;
        byte[] found = new byte[4096];
        await stream.ReadExactlyAsync(found, Token);
        Assert.Equal(Bytes(4096), found);

        // zone rules reach the user of the stream unchanged
        var e = await Assert.ThrowsAsync<ZoneException>(async () =>
        {
            stream.Position = offset;
            await stream.WriteAsync(found, Token);
        });
        Assert.Equal((ZoneError.NotAtWritePointer, 3), (e.Reason, e.Zone));
        stream.Position = 100;
        await stream.WriteAsync(Bytes(50), Token);
    }

    [Theory]
    [InlineData(-512, 512)]
    [InlineData(10 * MiB, 512)]
    [InlineData(17 * MiB, 4096)]
    public async Task Request_outside_the_disk_is_rejected(long offset, int length)
    {
        string path = _folder.File("a.qcow2");
        await using var disk = await Qcow2Disk.CreateAsync(path, 10 * MiB, cancellationToken: Token);
        long before = new FileInfo(path).Length;
        var e = await Assert.ThrowsAsync<BlockException>(
            async () => await disk.WriteAsync(offset, new byte[length], cancellationToken: Token));
        Assert.Equal(BlockError.OutOfRange, e.Error);
        Assert.Equal(before, new FileInfo(path).Length);
    }

    [Fact]
    public async Task Second_writer_is_rejected_while_the_disk_is_open()
    {
        string path = _folder.File("a.qcow2");
        await using var disk = await Qcow2Disk.CreateAsync(path, MiB, cancellationToken: Token);
        await FailsAsync(BlockError.Busy, path, () => Qcow2Disk.OpenAsync(path, cancellationToken: Token));
        await FailsAsync(BlockError.Busy, path, () => Qcow2Disk.OpenAsync(path, new() { ReadOnly = true }, Token));
        await FailsAsync(BlockError.InvalidArgument, path, () => Qcow2Disk.OpenAsync(path, new() { ForceShare = true }, Token));
        await using var reader = await Qcow2Disk.OpenAsync(path, new() { ReadOnly = true, ForceShare = true }, Token);
        Assert.True(reader.IsReadOnly);
    }

    [Fact]
    public async Task Two_readers_share_a_disk_and_cannot_write_it()
    {
        string path = _folder.File("a.qcow2");
        await (await Qcow2Disk.CreateAsync(path, MiB, cancellationToken: Token)).DisposeAsync();
        await using var one = await Qcow2Disk.OpenAsync(path, new() { ReadOnly = true }, Token);
        await using var two = await Qcow2Disk.OpenAsync(path, new() { ReadOnly = true }, Token);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await two.WriteAsync(0, new byte[512], cancellationToken: Token));
        Assert.Equal(BlockError.ReadOnly, e.Error);
    }

    [Fact]
    public async Task Existing_file_is_replaced_only_on_request()
    {
        string path = _folder.File("a.qcow2");
        await File.WriteAllTextAsync(path, "precious", Token);
        await FailsAsync(BlockError.AlreadyExists, path, () => Qcow2Disk.CreateAsync(path, MiB, cancellationToken: Token));

        // a rejected request leaves the file unchanged
        await Assert.ThrowsAsync<BlockException>(
            () => Qcow2Disk.CreateAsync(path, MiB, new() { ClusterSize = 1000 }, overwrite: true, Token));
        Assert.Equal("precious", await File.ReadAllTextAsync(path, Token));
        await using var disk = await Qcow2Disk.CreateAsync(path, MiB, overwrite: true, cancellationToken: Token);
        Assert.Equal(MiB, disk.Length);
    }

    [Fact]
    public async Task Rejected_creation_leaves_no_file()
    {
        string path = _folder.File("a.qcow2");
        var zones = new ZonedCreateOptions { ZoneSize = 1000 };
        await Assert.ThrowsAsync<BlockException>(() => Qcow2Disk.CreateAsync(path, MiB, new() { Zoned = zones }, cancellationToken: Token));
        await FailsAsync(
            BlockError.NotFound, "none", () => Qcow2Disk.CreateAsync(_folder.File("none/a.qcow2"), MiB, cancellationToken: Token));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public async Task Failure_to_open_has_a_code_and_names_the_file()
    {
        await FailsAsync(BlockError.NotFound, "no.qcow2", () => Qcow2Disk.OpenAsync(_folder.File("no.qcow2"), cancellationToken: Token));
        string text = _folder.File("text");
        await File.WriteAllTextAsync(text, new string('x', 1000), Token);
        await FailsAsync(BlockError.InvalidArgument, "text", () => Qcow2Disk.OpenAsync(text, cancellationToken: Token));
        await Assert.ThrowsAsync<BlockException>(() => Qcow2Disk.OpenAsync(_folder.Path, cancellationToken: Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Qcow2Disk.OpenAsync("", cancellationToken: Token));
        await Assert.ThrowsAsync<ArgumentException>(() => Qcow2Disk.OpenAsync(text, new() { Format = "raw" }, Token));
    }

    [Fact]
    public async Task Path_is_never_taken_for_another_kind_of_name()
    {
        foreach (string name in new[] { "json:{}", "nbd:localhost:1", "a:b", "file:c" })
        {
            string path = _folder.File(name);
            await (await Qcow2Disk.CreateAsync(path, MiB, cancellationToken: Token)).DisposeAsync();
            await using var disk = await Qcow2Disk.OpenAsync(path, cancellationToken: Token);
            Assert.Equal(path, disk.Name);
        }

        // also if relative: no such file exists, and nothing else is tried
        await FailsAsync(BlockError.NotFound, "json:", () => Disk.OpenAsync("json:{\"driver\":\"null-co\"}", cancellationToken: Token));
    }

    [Fact]
    public async Task Backing_file_is_opened_only_if_allowed()
    {
        string below = _folder.File("base.qcow2"), above = _folder.File("over.qcow2");
        await using (var disk = await Qcow2Disk.CreateAsync(below, MiB, cancellationToken: Token))
        {
            await disk.WriteAsync(0, Bytes(512), cancellationToken: Token);
        }

        var overlay = new Qcow2CreateOptions { BackingFile = "base.qcow2", BackingFormat = "qcow2" };
        await (await Qcow2Disk.CreateAsync(above, MiB, overlay, cancellationToken: Token)).DisposeAsync();
        var e = await FailsAsync(BlockError.NotPermitted, above, () => Qcow2Disk.OpenAsync(above, cancellationToken: Token));
        Assert.Contains("DiskOptions.Backing", e.Message, StringComparison.Ordinal);
        await using var opened = await Qcow2Disk.OpenAsync(above, new() { Backing = BackingPolicy.SameDirectory }, Token);
        byte[] found = new byte[512];
        await opened.ReadAsync(0, found, Token);
        Assert.Equal(Bytes(512), found);
    }

    [Fact]
    public async Task Disk_opens_raw_files_and_qcow2_images()
    {
        string raw = _folder.File("disk.raw"), qcow2 = _folder.File("disk.qcow2");
        await File.WriteAllBytesAsync(raw, Bytes(1024), Token);
        await (await Qcow2Disk.CreateAsync(qcow2, MiB, cancellationToken: Token)).DisposeAsync();
        await using (var disk = await Disk.OpenAsync(raw, new() { Format = "raw" }, Token))
        {
            Assert.Equal(("raw", 1024L), (disk.Format, disk.Length));
            Assert.IsNotType<Qcow2Disk>(disk);
            await disk.WriteAsync(0, Bytes(512), cancellationToken: Token);
        }

        await using (var disk = await Disk.OpenAsync(raw, cancellationToken: Token))
        {
            Assert.Contains("raw", Assert.Single(disk.Warnings), StringComparison.Ordinal);
        }

        await using var image = await Disk.OpenAsync(qcow2, cancellationToken: Token);
        Assert.Equal(MiB, Assert.IsType<Qcow2Disk>(image).Info.VirtualSize);
        await FailsAsync(BlockError.InvalidArgument, "vhdx", () => Disk.OpenAsync(raw, new() { Format = "vhdx" }, Token));
    }

    [Fact]
    public async Task Direct_io_reads_and_writes_the_same_bytes()
    {
        string path = _folder.File("a.qcow2");
        await (await Qcow2Disk.CreateAsync(path, MiB, cancellationToken: Token)).DisposeAsync();
        await using var disk = await Qcow2Disk.OpenAsync(path, new() { DirectIo = true }, Token);
        await disk.WriteAsync(512, Bytes(1024), cancellationToken: Token);
        byte[] found = new byte[1024];
        await disk.ReadAsync(512, found, Token);
        Assert.Equal(Bytes(1024), found);
    }

    private static byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(static i => (byte)(i * 7 % 253))];

    private static async Task<BlockException> FailsAsync(BlockError error, string named, Func<Task> open)
    {
        var e = await Assert.ThrowsAnyAsync<BlockException>(open);
        Assert.Equal(error, e.Error);
        Assert.Contains(named, e.Message, StringComparison.Ordinal);
        return e;
    }
}
