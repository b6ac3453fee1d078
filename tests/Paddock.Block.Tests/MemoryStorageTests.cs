namespace Paddock.Block.Tests;

public class MemoryStorageTests
{
    private const int Page = 65536;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Write_across_pages_grows_the_storage_and_reads_back()
    {
        await using var storage = new MemoryStorage();
        var data = Enumerable.Range(0, 2 * Page).Select(static i => (byte)(i * 7)).ToArray();
        await storage.WriteAsync(Page - 3, data, Token);
        Assert.Equal((3 * Page) - 3, storage.Length);
        var read = new byte[data.Length];
        await storage.ReadAsync(Page - 3, read, Token);
        Assert.Equal(data, read);
        Assert.Equal(3 * Page, storage.AllocatedBytes);
    }

    [Fact]
    public async Task Reading_past_the_end_clears_the_buffer()
    {
        await using var storage = new MemoryStorage();
        await storage.WriteAsync(0, new byte[] { 1, 2 }, Token);
        var read = new byte[] { 9, 9, 9, 9 };
        await storage.ReadAsync(1, read, Token);
        Assert.Equal([2, 0, 0, 0], read);
    }

    [Fact]
    public async Task Truncated_data_reads_as_zeroes_after_growing()
    {
        await using var storage = new MemoryStorage();
        await storage.WriteAsync(0, new byte[] { 1, 2, 3, 4 }, Token);
        await storage.SetLengthAsync(2, cancellationToken: Token);
        await storage.SetLengthAsync(4, cancellationToken: Token);
        var read = new byte[4];
        await storage.ReadAsync(0, read, Token);
        Assert.Equal([1, 2, 0, 0], read);
    }

    [Fact]
    public async Task Zeroes_free_whole_pages_and_clear_parts()
    {
        await using var storage = new MemoryStorage();
        await storage.WriteAsync(0, Enumerable.Repeat((byte)7, 3 * Page).ToArray(), Token);
        await storage.WriteZeroesAsync(Page - 1, Page + 2, ZeroFlags.None, Token);
        Assert.Equal(2 * Page, storage.AllocatedBytes);
        Assert.Equal(new BlockStatus(Page, BlockStatusFlags.Data), await storage.GetStatusAsync(0, 3 * Page, Token));
        Assert.Equal(new BlockStatus(Page - 5, BlockStatusFlags.Zero), await storage.GetStatusAsync(Page + 5, 2 * Page, Token));
        var edge = new byte[2];
        await storage.ReadAsync(Page - 2, edge, Token);
        Assert.Equal([7, 0], edge);
        await storage.ReadAsync(2 * Page, edge, Token);
        Assert.Equal([0, 7], edge);
    }

    [Fact]
    public async Task Discard_past_the_end_does_not_grow_the_storage_but_zeroes_do()
    {
        await using var storage = new MemoryStorage();
        await storage.DiscardAsync(100, 50, Token);
        Assert.Equal(0, storage.Length);
        await storage.WriteZeroesAsync(100, 50, ZeroFlags.MayUnmap, Token);
        Assert.Equal((150, 0), (storage.Length, storage.AllocatedBytes));
    }
}
