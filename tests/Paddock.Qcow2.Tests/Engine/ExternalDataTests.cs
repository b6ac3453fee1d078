using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Crypto;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Images whose guest data are in a file of their own.</summary>
public class ExternalDataTests
{
    private const int Cluster = 4096, Size = 64 * Cluster;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Guest_data_lie_at_their_guest_offsets()
    {
        var (image, data) = await CreateAsync();
        await using (var device = await OpenAsync(image, data))
        {
            await device.WriteAsync(0, Filled(Cluster, 1), cancellationToken: Token);
            await device.WriteAsync((7 * Cluster) + 512, Filled(1024, 2), cancellationToken: Token);
        }

        Assert.Equal(Filled(Cluster, 1), await ReadAsync(data, 0, Cluster));
        Assert.Equal(Filled(1024, 2), await ReadAsync(data, (7 * Cluster) + 512, 1024));
        Assert.Equal(Size, data.Length);
        var report = await Qcow2Image.CheckAsync(image, Qcow2Repair.None, cancellationToken: Token);
        Assert.Equal((0, 0, 2), (report.Corruptions, report.Leaks, report.AllocatedClusters));
        await using var again = await OpenAsync(image, data);
        Assert.Equal(Filled(Cluster, 1), await ReadAsync(again, 0, Cluster));
        var status = await again.GetStatusAsync(0, Size, Token);
        Assert.Equal((Cluster, 0L), (status.Length, status.HostOffset));
        Assert.True((status.Flags & BlockStatusFlags.Data) != 0);
    }

    [Fact]
    public async Task Stale_bytes_of_the_data_file_never_show()
    {
        var (image, data) = await CreateAsync();
        await data.WriteAsync(0, Filled(Size, 0x55), Token);
        await using var device = await OpenAsync(image, data);
        await device.WriteAsync(Cluster + 512, Filled(512, 1), cancellationToken: Token);
        byte[] expected = new byte[Size];
        expected.AsSpan(Cluster + 512, 512).Fill(1);
        Assert.Equal(expected, await ReadAsync(device, 0, Size));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task New_encrypted_image_with_a_raw_data_file_reads_as_zeroes(bool extended)
    {
        var image = new KeptStorage(new MemoryStorage());
        var data = new KeptStorage(new MemoryStorage());
        byte[] passphrase = "secret"u8.ToArray();
        var luks = new LuksOptions { Passphrase = passphrase, IterationTime = TimeSpan.FromMilliseconds(1) };
        await Qcow2Image.CreateAsync(
            image, data, Options(raw: true, Size) with { ClusterSize = 16384, ExtendedL2 = extended, Encryption = luks }, Token);
        await using var device = await Qcow2Image.OpenAsync(
            image, new Qcow2OpenOptions { DataFile = data, Passphrase = passphrase }, Token);
        await device.WriteAsync(512, Filled(512, 1), cancellationToken: Token);
        byte[] expected = new byte[Size];
        expected.AsSpan(512, 512).Fill(1);
        Assert.Equal(expected, await ReadAsync(device, 0, Size));
    }

    [Fact]
    public async Task Data_file_is_not_opened_without_leave()
    {
        var (image, _) = await CreateAsync();
        var e = await Assert.ThrowsAsync<BlockException>(async () => await Qcow2Image.OpenAsync(image, new Qcow2OpenOptions(), Token));
        Assert.Equal(BlockError.NotPermitted, e.Error);
        Assert.Contains("'disk.data'", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_file_for_an_image_without_one_is_rejected()
    {
        var image = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(image, new Qcow2CreateOptions { Size = Size }, Token);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await OpenAsync(image, new KeptStorage(new MemoryStorage())));
        Assert.Equal("'data-file' can only be set for images with an external data file", e.Message);
    }

    [Fact]
    public async Task Raw_bit_without_a_data_file_is_rejected()
    {
        var image = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(image, new Qcow2CreateOptions { Size = Size }, Token);
        await image.WriteAsync(95, new byte[] { 2 }, Token);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await Qcow2Image.OpenAsync(image, new Qcow2OpenOptions(), Token));
        Assert.Equal("data-file-raw requires a data file", e.Message);
    }

    [Fact]
    public async Task Compressed_write_is_rejected()
    {
        var (image, data) = await CreateAsync();
        await using var device = await OpenAsync(image, data);
        var e = await Assert.ThrowsAsync<BlockException>(
            async () => await device.WriteCompressedAsync(0, new byte[Cluster], Token));
        Assert.Equal(BlockError.NotSupported, e.Error);
    }

    [Fact]
    public async Task Raw_data_file_has_what_the_disk_has()
    {
        var (image, data) = await CreateAsync(raw: true, start: Filled(Size, 9));
        await using (var device = await OpenAsync(image, data))
        {
            Assert.Equal(Filled(Size, 9), await ReadAsync(device, 0, Size));
            await device.WriteZeroesAsync(Cluster, 2 * Cluster, cancellationToken: Token);
            await device.WriteZeroesAsync((5 * Cluster) + 512, 512, ZeroFlags.MayUnmap, Token);
            await device.DiscardAsync(8 * Cluster, Cluster, Token);
            await device.WriteAsync((8 * Cluster) + 1024, Filled(512, 3), cancellationToken: Token);
            Assert.Equal(await ReadAsync(device, 0, Size), await ReadAsync(data, 0, Size));
        }

        byte[] header = await ReadAsync(image, 88, 8);
        Assert.Equal(2UL, BinaryPrimitives.ReadUInt64BigEndian(header));
    }

    [Fact]
    public async Task Raw_disk_that_ends_inside_a_cluster_leaves_its_data_file_at_its_size()
    {
        var (image, data) = await CreateAsync(raw: true, size: Size + 512);
        await using var device = await OpenAsync(image, data);
        await device.DiscardAsync(Size, 512, Token);
        await device.WriteAsync(Size, Filled(512, 7), cancellationToken: Token);
        await device.FlushAsync(Token);
        Assert.Equal(Size + 512, data.Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Resize_cuts_and_grows_the_data_file(bool raw)
    {
        var (image, data) = await CreateAsync(raw);
        await using var device = await OpenAsync(image, data);
        await device.WriteAsync(0, Filled(Size, 5), cancellationToken: Token);
        await device.ResizeAsync(8 * Cluster, cancellationToken: Token);
        Assert.Equal(8 * Cluster, data.Length);
        await device.ResizeAsync(16 * Cluster, cancellationToken: Token);
        Assert.Equal(16 * Cluster, data.Length);
        byte[] expected = new byte[16 * Cluster];
        expected.AsSpan(0, 8 * Cluster).Fill(5);
        Assert.Equal(expected, await ReadAsync(device, 0, 16 * Cluster));
        await device.FlushAsync(Token);
        Assert.Equal(0, (await Qcow2Image.CheckAsync(image, Qcow2Repair.None, cancellationToken: Token)).Corruptions);
    }

    [Fact]
    public async Task Growth_of_a_raw_disk_shows_what_its_data_file_holds()
    {
        var (image, data) = await CreateAsync(raw: true);
        await data.WriteAsync(Size, Filled(Cluster, 4), Token);
        await using var device = await OpenAsync(image, data);
        await device.ResizeAsync(Size + Cluster, cancellationToken: Token);
        Assert.Equal(Filled(Cluster, 4), await ReadAsync(device, Size, Cluster));
    }

    [Fact]
    public async Task Discard_frees_the_space_of_data()
    {
        var image = new KeptStorage(new MemoryStorage());
        var data = new CrashStorage();
        await Qcow2Image.CreateAsync(image, data, Options(raw: false, Size), Token);
        await using var device = await OpenAsync(image, data);
        await device.WriteAsync(0, Filled(8 * Cluster, 1), cancellationToken: Token);
        await device.DiscardAsync(2 * Cluster, 3 * Cluster, Token);
        Assert.Contains(new StorageLogEntry(StorageStep.Discard, 2 * Cluster, 3 * Cluster, null), Entries(data));
    }

    [Fact]
    public async Task Flush_writes_no_table_before_the_data_file_is_durable()
    {
        var image = new CrashStorage();
        var data = new CrashStorage();
        await Qcow2Image.CreateAsync(image, data, Options(raw: false, Size), Token);
        var device = await OpenAsync(image, data);
        await device.WriteAsync(0, Filled(Cluster, 1), cancellationToken: Token);
        int before = image.Log.Count;
        data.FailFlush = data.FlushesAsked + 1;
        await Assert.ThrowsAsync<BlockException>(async () => await device.FlushAsync(Token));
        Assert.DoesNotContain(Entries(image).Skip(before), static e => e.Step == StorageStep.Sync);
        await Assert.ThrowsAsync<BlockException>(async () => await device.WriteAsync(0, new byte[512], cancellationToken: Token));
        Assert.Throws<BlockException>(device.ThrowIfFlushFailed);
        await Assert.ThrowsAsync<BlockException>(async () => await device.DisposeAsync());
        byte[] tables = await ReadAsync(image.Live, 0, (int)image.Live.Length);
        int l1 = BinaryPrimitives.ReadInt32BigEndian(tables.AsSpan(44));
        Assert.Equal(0, BinaryPrimitives.ReadInt64BigEndian(tables.AsSpan(l1)));
    }

    [Theory]
    [InlineData(0x8000_0000_0000_3000, "does not match guest cluster offset: 0x1000")]
    [InlineData(0x8000_0000_0000_0000, "External data file host cluster offset 0 does not match guest cluster offset: 0x1000")]
    [InlineData(0x4000_0000_0000_1000, "Compressed cluster entry found in image with external data file")]
    public async Task Entry_that_no_data_file_has_is_corrupt(ulong entry, string message)
    {
        var (image, data) = await CreateAsync();
        await using (var device = await OpenAsync(image, data))
        {
            await device.WriteAsync(Cluster, Filled(Cluster, 1), cancellationToken: Token);
        }

        long l1 = BinaryPrimitives.ReadInt64BigEndian(await ReadAsync(image, 40, 8));
        long l2 = BinaryPrimitives.ReadInt64BigEndian(await ReadAsync(image, l1, 8)) & 0xff_ffff_ffff_ffff;
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, entry);
        await image.WriteAsync(l2 + 8, bytes, Token);
        await using var broken = await OpenAsync(image, data);
        var e = await Assert.ThrowsAsync<ImageCorruptException>(async () => await ReadAsync(broken, Cluster, 512));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zoned_disk_keeps_its_data_in_the_data_file()
    {
        var image = new KeptStorage(new MemoryStorage());
        var data = new KeptStorage(new MemoryStorage());
        var zoned = new ZonedCreateOptions { ZoneSize = 16 * Cluster };
        await Qcow2Image.CreateAsync(image, data, Options(raw: false, Size) with { Zoned = zoned }, Token);
        await using (var device = await OpenAsync(image, data))
        {
            await device.Zones!.AppendAsync(16 * Cluster, Filled(Cluster, 6), cancellationToken: Token);
            await device.Zones!.AppendAsync(0, Filled(512, 7), cancellationToken: Token);
            await device.Zones!.ManageAsync(ZoneAction.Reset, 0, 16 * Cluster, Token);
        }

        Assert.Equal(Filled(Cluster, 6), await ReadAsync(data, 16 * Cluster, Cluster));
        await using var again = await OpenAsync(image, data);
        Assert.Equal(new byte[Cluster], await ReadAsync(again, 0, Cluster));
        var report = await Qcow2Image.CheckAsync(image, Qcow2Repair.None, cancellationToken: Token);
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
    }

    private static Qcow2CreateOptions Options(bool raw, long size)
        => new() { Size = size, ClusterSize = Cluster, DataFile = "disk.data", DataFileRaw = raw };

    private static async Task<(KeptStorage Image, KeptStorage Data)> CreateAsync(bool raw = false, long size = Size, byte[]? start = null)
    {
        var image = new KeptStorage(new MemoryStorage());
        var data = new KeptStorage(new MemoryStorage());
        await data.WriteAsync(0, start ?? [], Token);
        await Qcow2Image.CreateAsync(image, data, Options(raw, size), Token);
        return (image, data);
    }

    private static ValueTask<IQcow2Device> OpenAsync(IStorage image, IStorage data)
        => Qcow2Image.OpenAsync(image, new Qcow2OpenOptions { DataFile = data }, Token);

    private static byte[] Filled(int length, byte value) => [.. Enumerable.Repeat(value, length)];

    private static IEnumerable<StorageLogEntry> Entries(CrashStorage storage)
        => Enumerable.Range(0, storage.Log.Count).Select(i => storage.Log[i]);

    private static async Task<byte[]> ReadAsync(IStorage storage, long offset, int length)
    {
        byte[] bytes = new byte[length];
        await storage.ReadAsync(offset, bytes, Token);
        return bytes;
    }

    private static async Task<byte[]> ReadAsync(IBlockDevice device, long offset, int length)
    {
        byte[] bytes = new byte[length];
        await device.ReadAsync(offset, bytes, Token);
        return bytes;
    }
}
