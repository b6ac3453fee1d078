using Paddock.Block;

namespace Paddock.Posix.Tests;

/// <summary>Zeroes and discards on storage whose space unit is larger than a sector.</summary>
public sealed class SpaceUnitTests : IDisposable
{
    private const int Size = 1 << 20, Unit = 4096;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-unit").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Zeroing_partial_blocks_writes_only_the_range(bool direct)
    {
        var token = TestContext.Current.CancellationToken;
        await using var storage = await FilledAsync(direct);
        foreach (var (offset, length) in new[] { (512, 512), (5120, 8192), (20480, 4096), (30000, 1), (40960, 12000), (65535, 8194) })
        {
            await storage.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, token);
            var read = new byte[length + 2];
            await storage.ReadAsync(offset - 1, read, token);
            Assert.Equal((7, 7), (read[0], read[^1]));
            Assert.Equal(-1, read.AsSpan(1, length).IndexOfAnyExcept((byte)0));
        }
    }

    [Fact]
    public async Task Discard_keeps_partial_blocks()
    {
        var token = TestContext.Current.CancellationToken;
        await using var storage = await FilledAsync(direct: false);
        await storage.DiscardAsync(512, 512, token);
        await storage.DiscardAsync(Unit + 512, 3 * Unit, token);
        var read = new byte[8 * Unit];
        await storage.ReadAsync(0, read, token);
        Assert.Equal(-1, read.AsSpan(0, 2 * Unit).IndexOfAnyExcept((byte)7));
        Assert.Equal(-1, read.AsSpan(4 * Unit).IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public async Task Zeroing_partial_blocks_without_writing_fails_and_changes_nothing()
    {
        var token = TestContext.Current.CancellationToken;
        await using var storage = await FilledAsync(direct: false);
        var error = await Assert.ThrowsAsync<BlockException>(
            () => storage.WriteZeroesAsync(512, 3 * Unit, ZeroFlags.MayUnmap | ZeroFlags.NoFallback, token).AsTask());
        Assert.Equal(95, error.Errno);
        var read = new byte[8 * Unit];
        await storage.ReadAsync(0, read, token);
        Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)7));
    }

    private async Task<FileStorage> FilledAsync(bool direct)
    {
        var storage = FileStorage.Open(new() { Path = Path.Combine(_folder, "a"), Create = true, SpaceUnit = Unit, DirectIo = direct });
        var data = new byte[Size];
        data.AsSpan().Fill(7);
        await storage.WriteAsync(0, data);
        return storage;
    }
}
