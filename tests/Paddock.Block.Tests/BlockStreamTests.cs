using Paddock.Testing;

namespace Paddock.Block.Tests;

public class BlockStreamTests
{
    private const int Size = 64 << 10;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Random_reads_and_writes_agree_with_a_memory_stream(int block)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        await using var stream = new BlockStream(Disk(block));
        await using var model = new MemoryStream(new byte[Size]);
        byte[] data = new byte[20_000];
        byte[] expected = new byte[data.Length];
        for (int i = 0; i < 2_000; i++)
        {
            int at = random.Next(Size + 1);
            int count = Math.Min(random.Next(data.Length), Size - at);
            bool isAsync = random.Next(2) == 0;
            stream.Position = model.Position = at;
            if (random.Next(2) == 0)
            {
                random.NextBytes(data.AsSpan(0, count));
                model.Write(data, 0, count);
                await WriteAsync(stream, data.AsMemory(0, count), isAsync);
            }
            else
            {
                model.ReadExactly(expected, 0, count);
                await ReadAsync(stream, data.AsMemory(0, count), isAsync);
                Assert.True(expected.AsSpan(0, count)
                    .SequenceEqual(data.AsSpan(0, count)), $"seed {seed}, step {i}: {count} bytes at {at}");
            }

            Assert.Equal(model.Position, stream.Position);
        }
    }

    [Fact]
    public async Task Read_at_the_end_returns_what_is_left_and_then_nothing()
    {
        await using var stream = new BlockStream(Disk(512));
        stream.Position = Size - 10;
        byte[] buffer = new byte[100];
        Assert.Equal(10, await stream.ReadAsync(buffer, Token));
        Assert.Equal(0, await stream.ReadAsync(buffer, Token));
        stream.Position = Size + 5;
        Assert.Equal(0, stream.Read(buffer, 0, 100));
        Assert.Equal(-1, stream.ReadByte());
        Assert.Equal(Size + 5, stream.Position);
    }

    [Fact]
    public async Task Write_past_the_end_is_rejected_and_writes_nothing()
    {
        var disk = Disk(512);
        await using var stream = new BlockStream(disk);
        stream.Position = Size - 512;
        var e = await Assert.ThrowsAsync<BlockException>(async () => await stream.WriteAsync(Bytes(513), Token));
        Assert.Equal(BlockError.InvalidArgument, e.Error);
        Assert.Equal($"a write of 513 bytes at {Size - 512} reaches past the end of the disk at {Size}: resize the disk first", e.Message);
        Assert.Throws<BlockException>(() => stream.Write(Bytes(2 << 20).AsSpan()));
        Assert.Equal(0, disk.Count(DeviceCall.Write));
        Assert.Equal(Size - 512, stream.Position);
    }

    [Fact]
    public async Task Partial_block_is_read_changed_and_written_back()
    {
        var disk = Disk(512);
        await disk.WriteAsync(0, Bytes(1024), cancellationToken: Token);
        await using var stream = new BlockStream(disk);
        stream.Position = 511;
        await stream.WriteAsync(new byte[] { 7, 8 }, Token);
        byte[] expected = Bytes(1024);
        (expected[511], expected[512]) = (7, 8);
        byte[] found = new byte[1024];
        await disk.ReadAsync(0, found, Token);
        Assert.Equal(expected, found);
    }

    [Fact]
    public async Task Whole_blocks_are_written_without_reading()
    {
        var disk = Disk(512);
        await using var stream = new BlockStream(disk);
        stream.Position = 512;
        stream.Write(Bytes(1024), 0, 1024);
        Assert.Equal((0, 1), (disk.Count(DeviceCall.Read), disk.Count(DeviceCall.Write)));
    }

    [Fact]
    public async Task Requests_are_divided_at_the_transfer_limit()
    {
        var disk = Disk(512, maxTransfer: 2048);
        await using var stream = new BlockStream(disk);
        await stream.WriteAsync(Bytes(5000), Token);
        stream.Position = 0;
        byte[] found = new byte[5000];
        await stream.ReadExactlyAsync(found, Token);
        Assert.Equal(Bytes(5000), found);

        // 2048 + 2048 + 512 bytes, and the last block with a read before its write
        Assert.Equal(4, disk.Count(DeviceCall.Write));
        Assert.Equal(5, disk.Count(DeviceCall.Read));
    }

    [Fact]
    public async Task Seek_counts_from_begin_position_and_end()
    {
        await using var stream = new BlockStream(Disk(1));
        Assert.Equal(100, stream.Seek(100, SeekOrigin.Begin));
        Assert.Equal(90, stream.Seek(-10, SeekOrigin.Current));
        Assert.Equal(Size - 1, stream.Seek(-1, SeekOrigin.End));
        Assert.Throws<IOException>(() => stream.Seek(-Size - 1, SeekOrigin.End));
        Assert.Throws<IOException>(() => stream.Seek(long.MaxValue, SeekOrigin.Current));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Position = -1);
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Seek(0, (SeekOrigin)9));
        Assert.Equal(Size - 1, stream.Position);
    }

    [Fact]
    public async Task SetLength_resizes_the_disk()
    {
        await using var stream = new BlockStream(Disk(1));
        stream.SetLength(Size * 2);
        Assert.Equal(Size * 2, stream.Length);
        stream.Position = Size;
        Assert.Equal(0, stream.ReadByte());
        stream.SetLength(512);
        Assert.Equal(512, stream.Length);
    }

    [Fact]
    public async Task Read_only_disk_rejects_writes_and_accepts_a_flush()
    {
        var disk = Disk(1, isReadOnly: true);
        await using var stream = new BlockStream(disk);
        Assert.True(stream.CanRead && stream.CanSeek && !stream.CanWrite);
        Assert.Throws<NotSupportedException>(() => stream.Write(Bytes(1), 0, 1));
        Assert.Throws<NotSupportedException>(() => stream.SetLength(0));
        await stream.FlushAsync(Token);
        Assert.Equal(0, disk.Count(DeviceCall.Flush));
    }

    [Fact]
    public async Task Flush_reaches_the_disk_and_its_error_reaches_the_caller()
    {
        var disk = Disk(1);
        await using var stream = new BlockStream(disk);
        stream.Flush();
        await stream.FlushAsync(Token);
        Assert.Equal(2, disk.Count(DeviceCall.Flush));
        disk.Failures[DeviceCall.Flush] = new BlockException(BlockError.NoSpace, "no space");
        Assert.Equal(BlockError.NoSpace, Assert.Throws<BlockException>(stream.Flush).Error);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Dispose_closes_the_disk_unless_it_is_left_open(bool leaveOpen)
    {
        var disk = Disk(1);
        var stream = new BlockStream(disk, leaveOpen);
        await stream.DisposeAsync();
        await stream.DisposeAsync();
        Assert.Equal(leaveOpen ? 0 : 1, disk.Count(DeviceCall.Dispose));
        Assert.False(stream.CanRead || stream.CanWrite || stream.CanSeek);
        Assert.Throws<ObjectDisposedException>(() => stream.ReadByte());
        Assert.Throws<ObjectDisposedException>(() => stream.Length);

        disk = Disk(1);
        new BlockStream(disk, leaveOpen).Dispose();
        Assert.Equal(leaveOpen ? 0 : 1, disk.Count(DeviceCall.Dispose));
    }

    [Fact]
    public async Task Other_streams_can_wrap_the_stream()
    {
        await using var stream = new BlockStream(Disk(4096));
        await using (
            var zip = new System.IO.Compression.GZipStream(stream, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true))
        {
            await zip.WriteAsync(Bytes(30_000), Token);
        }

        stream.Position = 0;
        await using var unzip = new System.IO.Compression.GZipStream(
            stream, System.IO.Compression.CompressionMode.Decompress, leaveOpen: true);
        byte[] found = new byte[30_000];
        await unzip.ReadExactlyAsync(found, Token);
        Assert.Equal(Bytes(30_000), found);
    }

    private static async Task WriteAsync(BlockStream stream, ReadOnlyMemory<byte> data, bool isAsync)
    {
        if (isAsync)
        {
            await stream.WriteAsync(data, Token);
        }
        else
        {
            stream.Write(data.Span);
        }
    }

    private static async Task ReadAsync(BlockStream stream, Memory<byte> data, bool isAsync)
    {
        if (isAsync)
        {
            await stream.ReadExactlyAsync(data, Token);
        }
        else
        {
            stream.ReadExactly(data.Span);
        }
    }

    private static byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(static i => (byte)(i * 31 % 251))];

    // accepts whole blocks only, and completes half of its requests asynchronously
    private static TestDevice Disk(int block, int maxTransfer = 1 << 20, bool isReadOnly = false)
    {
        int turn = 0;
        TestDevice disk = null!;
        disk = new TestDevice(Size, new BlockLimits(block, maxTransfer, 0), isReadOnly)
        {
            Around = async (request, run) =>
            {
                if (request.Call is DeviceCall.Read or DeviceCall.Write)
                {
                    Assert.Equal(0, request.Offset % block);
                    Assert.Equal(0, request.Length % block);
                    Assert.InRange(request.Length, 1, maxTransfer);
                    Assert.InRange(request.Offset + request.Length, 0, disk.Length);
                    if (turn++ % 2 == 0)
                    {
                        await Task.Yield();
                    }
                }

                await run();
            },
        };
        return disk;
    }
}
