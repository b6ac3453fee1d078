using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Images.Tests;

/// <summary>Copies as library calls: into new files, with progress.</summary>
public sealed class LibraryCopyTests : IDisposable
{
    private const long MiB = 1 << 20;

    private readonly TempFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Copy_to_raw_is_sparse_and_reports_progress()
    {
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        var progress = new Steps();
        string raw = _folder.File("a.raw");
        await DiskCopy.CopyToRawAsync(disk, raw, progress: progress, cancellationToken: Token);
        byte[] found = await File.ReadAllBytesAsync(raw, Token);
        Assert.Equal(16 * MiB, found.LongLength);
        Assert.Equal(Bytes(), found.AsSpan((int)(8 * MiB), Bytes().Length).ToArray());
        Assert.Equal(-1, found.AsSpan(0, (int)(8 * MiB)).IndexOfAnyExcept((byte)0));
        Assert.Equal(new CopyProgress(progress.Last.Total, progress.Last.Total), progress.Last);
        Assert.Equal(1, progress.Last.Fraction);
        Assert.InRange(progress.Last.Total, Bytes().Length, 2 * MiB);
        await using var copy = await Disk.OpenAsync(raw, new() { Format = "raw", ReadOnly = true }, Token);
        var hole = await copy.GetStatusAsync(0, 8 * MiB, Token);
        Assert.False((hole.Flags & BlockStatusFlags.Data) != 0 && hole.Length == 8 * MiB);
    }

    [Fact]
    public async Task Copy_of_a_zoned_disk_to_qcow2_keeps_its_zones()
    {
        await using var disk = await FilledAsync(
            "z.qcow2", new ZonedCreateOptions { ZoneSize = 2 * MiB, MaxOpenZones = 3, MaxAppendBytes = 65536 });
        string path = _folder.File("copy.qcow2");
        await DiskCopy.CopyToQcow2Async(disk, path, cancellationToken: Token);
        await using var copy = await Qcow2Disk.OpenAsync(path, new() { ReadOnly = true }, Token);
        Assert.Equal(disk.Zones!.Limits, copy.Zones!.Limits);
        var zones = await copy.Zones.ReportAllAsync(Token);
        Assert.Equal((8 * MiB) + Bytes().Length, zones[4].WritePointer);
        Assert.Equal(ZoneCondition.Closed, zones[4].Condition);
        Assert.Equal(Bytes(), await ReadAsync(copy));
    }

    [Theory]
    [InlineData(17 * MiB, null)]
    [InlineData(-512L, null)]
    [InlineData(0L, -512L)]
    [InlineData(0L, long.MaxValue - 511)]
    public async Task Impossible_part_leaves_an_existing_file_as_it_is(long start, long? length)
    {
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        string path = _folder.File("kept");
        await File.WriteAllTextAsync(path, "kept", Token);
        var options = new CopyOptions { Start = start, Length = length };
        foreach (var copy in (Func<Task>[])
            [
                () => DiskCopy.CopyToRawAsync(disk, path, overwrite: true, options, cancellationToken: Token),
                () => DiskCopy.CopyToQcow2Async(disk, path, overwrite: true, options: options, cancellationToken: Token),
            ])
        {
            var e = await Assert.ThrowsAsync<BlockException>(copy);
            Assert.True(e.Error is BlockError.InvalidArgument or BlockError.TooLarge, e.ToString());
            Assert.Equal("kept", await File.ReadAllTextAsync(path, Token));
        }
    }

    [Fact]
    public async Task Copy_to_qcow2_can_compress()
    {
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        string path = _folder.File("small.qcow2");
        await DiskCopy.CopyToQcow2Async(disk, path, options: new() { Compressed = true }, cancellationToken: Token);
        await using var copy = await Qcow2Disk.OpenAsync(path, new() { ReadOnly = true }, Token);
        Assert.Equal(Bytes(), await ReadAsync(copy));
        Assert.True(((await copy.GetStatusAsync(8 * MiB, 4096, Token)).Flags & BlockStatusFlags.Compressed) != 0);
    }

    [Fact]
    public async Task Copy_into_an_open_disk_is_durable_and_must_fit()
    {
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        await using var target = await Qcow2Disk.CreateAsync(_folder.File("b.qcow2"), 16 * MiB, cancellationToken: Token);
        await DiskCopy.CopyAsync(disk, target, cancellationToken: Token);
        Assert.Equal(Bytes(), await ReadAsync(target));
        await using var small = await Qcow2Disk.CreateAsync(_folder.File("c.qcow2"), MiB, cancellationToken: Token);
        var e = await Assert.ThrowsAsync<BlockException>(() => DiskCopy.CopyAsync(disk, small, cancellationToken: Token));
        Assert.Equal(BlockError.InvalidArgument, e.Error);
    }

    [Fact]
    public async Task Failed_copy_leaves_no_file_and_an_existing_one_is_not_replaced()
    {
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        string raw = _folder.File("a.raw");
        using var stopped = new CancellationTokenSource();
        await stopped.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => DiskCopy.CopyToRawAsync(disk, raw, cancellationToken: stopped.Token));
        Assert.False(File.Exists(raw));
        await File.WriteAllTextAsync(raw, "precious", Token);
        var e = await Assert.ThrowsAsync<BlockException>(() => DiskCopy.CopyToRawAsync(disk, raw, cancellationToken: Token));
        Assert.Equal(BlockError.AlreadyExists, e.Error);
        Assert.Equal("precious", await File.ReadAllTextAsync(raw, Token));

        // the source itself is in use
        e = await Assert.ThrowsAsync<BlockException>(
            () => DiskCopy.CopyToRawAsync(disk, disk.Name, overwrite: true, cancellationToken: Token));
        Assert.Equal(BlockError.Busy, e.Error);
    }

    [Fact]
    public async Task Copy_to_raw_on_a_block_device_clears_what_it_held()
    {
        string file = _folder.File("device");
        byte[] old = new byte[16 * MiB];
        old.AsSpan().Fill(0xEE);
        await File.WriteAllBytesAsync(file, old, Token);
        await using var device = await LoopDevice.OfAsync(file);
        Assert.SkipWhen(device is null, "no loop device can be set up here");
        await using var disk = await FilledAsync("a.qcow2", zones: null);
        await DiskCopy.CopyToRawAsync(disk, device.Path, overwrite: true, cancellationToken: Token);
        await using var copy = await Disk.OpenAsync(device.Path, new() { Format = "raw", ReadOnly = true }, Token);
        byte[] found = new byte[8 * MiB];
        await copy.ReadAsync(0, found, Token);
        Assert.Equal(-1, found.AsSpan().IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public async Task Copy_never_overwrites_a_file_that_it_reads()
    {
        string below = _folder.File("below.qcow2"), above = _folder.File("above.qcow2");
        await (await FilledAsync("below.qcow2", zones: null)).DisposeAsync();
        var overlay = new Qcow2CreateOptions { BackingFile = "below.qcow2", BackingFormat = "qcow2" };
        await (await Qcow2Disk.CreateAsync(above, 16 * MiB, overlay, cancellationToken: Token)).DisposeAsync();
        byte[] before = await File.ReadAllBytesAsync(below, Token);

        // shared by force: no lock protects the files
        var shared = new DiskOptions { ReadOnly = true, ForceShare = true, Backing = BackingPolicy.SameDirectory };
        await using var disk = await Qcow2Disk.OpenAsync(above, shared, Token);
        foreach (string path in new[] { above, below })
        {
            foreach (var copy in (Func<Task>[])
                [
                    () => DiskCopy.CopyToRawAsync(disk, path, overwrite: true, cancellationToken: Token),
                    () => DiskCopy.CopyToQcow2Async(disk, path, overwrite: true, cancellationToken: Token),
                ])
            {
                var e = await Assert.ThrowsAsync<BlockException>(copy);
                Assert.Equal(BlockError.Busy, e.Error);
                Assert.Contains("would be lost", e.Message, StringComparison.Ordinal);
            }
        }

        Assert.Equal(before, await File.ReadAllBytesAsync(below, Token));
    }

    [Fact]
    public async Task Create_leaves_an_existing_file_as_it_is_if_the_backing_file_cannot_be_used()
    {
        string path = _folder.File("kept.qcow2"), over = _folder.File("over.qcow2");
        await (await FilledAsync("kept.qcow2", zones: null)).DisposeAsync();
        await (await FilledAsync("plain.qcow2", zones: null)).DisposeAsync();
        var onKept = new Qcow2CreateOptions { BackingFile = "kept.qcow2", BackingFormat = "qcow2" };
        await (await Qcow2Disk.CreateAsync(over, 16 * MiB, onKept, cancellationToken: Token)).DisposeAsync();
        byte[] before = await File.ReadAllBytesAsync(path, Token);
        foreach (var (options, error) in new[]
            {
                (onKept, BlockError.Busy),
                (onKept with { BackingFile = "over.qcow2" }, BlockError.Busy),
                (onKept with { BackingFile = "missing.qcow2" }, BlockError.NotFound),
                (onKept with { BackingFile = "plain.qcow2", Zoned = new() { ZoneSize = MiB } }, BlockError.InvalidArgument),
            })
        {
            var e = await Assert.ThrowsAsync<BlockException>(
                () => Qcow2Disk.CreateAsync(path, 16 * MiB, options, overwrite: true, cancellationToken: Token));
            Assert.Equal(error, e.Error);
            Assert.Equal(before, await File.ReadAllBytesAsync(path, Token));
        }
    }

    private static byte[] Bytes()
    {
        byte[] bytes = new byte[200 * 512];
        new Random(11).NextBytes(bytes.AsSpan(0, bytes.Length / 2));
        bytes.AsSpan(bytes.Length / 2).Fill(3);
        return bytes;
    }

    private static async Task<byte[]> ReadAsync(Qcow2Disk disk)
    {
        byte[] found = new byte[Bytes().Length];
        await disk.ReadAsync(8 * MiB, found, Token);
        return found;
    }

    private async Task<Qcow2Disk> FilledAsync(string name, ZonedCreateOptions? zones)
    {
        var disk = await Qcow2Disk.CreateAsync(_folder.File(name), 16 * MiB, new() { Zoned = zones }, cancellationToken: Token);
        await disk.WriteAsync(8 * MiB, Bytes(), cancellationToken: Token);
        return disk;
    }

    private sealed class Steps : IProgress<CopyProgress>
    {
        public CopyProgress Last { get; private set; }

        public void Report(CopyProgress value)
        {
            Assert.InRange(value.Copied, Last.Copied, value.Total);
            Last = value;
        }
    }
}
