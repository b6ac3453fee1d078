using Paddock.Block;

namespace Paddock.Rbd.Tests;

/// <summary>An image in RBD as storage, in a real cluster.</summary>
public class StorageTests(CephCluster cluster)
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Random_requests_read_like_an_array(bool caches)
    {
        const int Size = 8 * MiB;
        var random = new Random(TestSeed.Next());
        await using var storage = await cluster.CreateAsync(Size, caches, objectSize: MiB);
        byte[] model = new byte[Size];
        for (int i = 0; i < 300; i++)
        {
            int length = random.Next(1, random.Next(4) == 0 ? 2 * MiB : 16384), offset = random.Next(Size - length);
            switch (random.Next(5))
            {
                case 0:
                    random.NextBytes(model.AsSpan(offset, length));
                    await ((IDurableStorage)storage).WriteDurablyAsync(
                        offset, model.AsMemory(offset, length), TestContext.Current.CancellationToken);
                    break;
                case 1:
                    random.NextBytes(model.AsSpan(offset, length));
                    await storage.WriteAsync(offset, model.AsMemory(offset, length), TestContext.Current.CancellationToken);
                    break;
                case 2:
                    model.AsSpan(offset, length).Clear();
                    await storage.WriteZeroesAsync(
                        offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None, TestContext.Current.CancellationToken);
                    break;
                case 3:
                    byte[] read = new byte[length];
                    await storage.ReadAsync(offset, read, TestContext.Current.CancellationToken);
                    Assert.True(model.AsSpan(offset, length).SequenceEqual(read), $"request {i}: offset {offset}, length {length}");
                    break;
                default:
                    await storage.FlushAsync(TestContext.Current.CancellationToken);
                    break;
            }
        }

        await storage.FlushAsync(TestContext.Current.CancellationToken);
        byte[] all = new byte[Size];
        await storage.ReadAsync(0, all, TestContext.Current.CancellationToken);
        Assert.True(model.AsSpan().SequenceEqual(all));

        // whatever is reported as a hole reads as zeroes
        for (long offset = 0; offset < Size;)
        {
            var status = await storage.GetStatusAsync(offset, Size - offset, TestContext.Current.CancellationToken);
            Assert.InRange(status.Length, 1, Size - offset);
            Assert.False(
                status.Flags == BlockStatusFlags.Zero && model.AsSpan((int)offset, (int)status.Length).ContainsAnyExcept((byte)0));
            offset += status.Length;
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Durable_write_needs_no_flush_and_others_need_one_with_a_cache(bool caches)
    {
        await using var storage = await cluster.CreateAsync(4 * MiB, caches, objectSize: MiB);
        Assert.Equal(MiB, storage.DurableBlock);
        await storage.WriteDurablyAsync(4096, new byte[4096], TestContext.Current.CancellationToken);
        Assert.True(storage.IsSettled);
        await storage.WriteAsync(8192, new byte[4096], TestContext.Current.CancellationToken);
        Assert.Equal(!caches, storage.IsSettled);
        await storage.FlushAsync(TestContext.Current.CancellationToken);
        Assert.True(storage.IsSettled);
    }

    [Fact]
    public async Task Parallel_writes_all_arrive()
    {
        const int Count = 256, Length = 8192;
        await using var storage = await cluster.CreateAsync(Count * Length);
        await Task.WhenAll(Enumerable.Range(0, Count).Select(async i =>
        {
            byte[] data = new byte[Length];
            data.AsSpan().Fill((byte)i);
            await storage.WriteAsync(i * Length, data);
            byte[] read = new byte[Length];
            await storage.ReadAsync(i * Length, read);
            Assert.Equal(data, read);
        }));
    }

    [Fact]
    public async Task Discarded_objects_become_holes()
    {
        await using var storage = await cluster.CreateAsync(8 * MiB, objectSize: MiB);
        await storage.WriteAsync(0, new byte[4 * MiB].Select(static _ => (byte)1).ToArray(), TestContext.Current.CancellationToken);
        await storage.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(
            new BlockStatus(4 * MiB, BlockStatusFlags.Data),
            await storage.GetStatusAsync(0, 8 * MiB, TestContext.Current.CancellationToken));
        await storage.DiscardAsync(MiB, 2 * MiB, TestContext.Current.CancellationToken);
        Assert.Equal(
            new BlockStatus(2 * MiB, BlockStatusFlags.Zero),
            await storage.GetStatusAsync(MiB, 7 * MiB, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Write_past_the_end_grows_the_image_and_reads_past_it_are_zeroes()
    {
        await using var storage = await cluster.CreateAsync(0);
        await storage.WriteAsync(100_000, new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken);
        Assert.InRange(storage.Length, 100_003, 128 * MiB);
        byte[] read = [9, 9, 9, 9, 9];
        await storage.ReadAsync(100_001, read, TestContext.Current.CancellationToken);
        Assert.Equal([2, 3, 0, 0, 0], read);
        await storage.SetLengthAsync(100_002, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(100_002, storage.Length);
        await storage.ReadAsync(100_001, read, TestContext.Current.CancellationToken);
        Assert.Equal([2, 0, 0, 0, 0], read);
    }

    [Fact]
    public async Task Space_cannot_be_reserved()
    {
        await using var storage = await cluster.CreateAsync(MiB);
        var failure = await Assert.ThrowsAsync<BlockException>(
            async () => await storage.SetLengthAsync(2 * MiB, Preallocation.Falloc, TestContext.Current.CancellationToken));
        Assert.Equal(BlockError.NotSupported, failure.Error);

        // written zeroes would not help either: overwriting takes space as well
        Assert.True(await storage.ReserveAsync(0, MiB, grows: false, TestContext.Current.CancellationToken));
        Assert.Equal(
            new BlockStatus(MiB, BlockStatusFlags.Zero), await storage.GetStatusAsync(0, MiB, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Snapshot_is_read_as_it_was_and_never_written()
    {
        await using var storage = await cluster.CreateAsync(MiB);
        await storage.WriteAsync(0, new byte[] { 7 }, TestContext.Current.CancellationToken);
        await storage.FlushAsync(TestContext.Current.CancellationToken);
        await cluster.RbdAsync("snap", "create", "--no-progress", storage.Image.Target.Spec + "@s");
        await storage.WriteAsync(0, new byte[] { 8 }, TestContext.Current.CancellationToken);
        var target = storage.Image.Target with { Snapshot = "s" };
        await using var snapshot = new RbdStorage(await RbdImage.OpenAsync(target, readOnly: true));
        byte[] read = new byte[1];
        await snapshot.ReadAsync(0, read, TestContext.Current.CancellationToken);
        Assert.Equal(7, read[0]);
        Assert.True(snapshot.IsReadOnly);
        await snapshot.FlushAsync(TestContext.Current.CancellationToken);
        var failure = await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(target, readOnly: false));
        Assert.Equal(BlockError.ReadOnly, failure.Error);
    }

    [Fact]
    public async Task Existing_image_is_not_created_again()
    {
        await using var storage = await cluster.CreateAsync(MiB);
        var failure = await Assert.ThrowsAsync<BlockException>(() => RbdImage.CreateAsync(storage.Image.Target, MiB));
        Assert.Equal(BlockError.AlreadyExists, failure.Error);
    }

    [Fact]
    public async Task Object_size_is_the_one_asked_for()
    {
        await using var storage = await cluster.CreateAsync(MiB, objectSize: 64 << 10);
        Assert.Equal(64 << 10, storage.Image.ObjectSize);
        Assert.Throws<BlockException>(() => RbdImage.CheckObjectSize(3 << 20));
    }

    [Fact]
    public async Task Missing_pool_image_user_and_configuration_are_named()
    {
        async Task<BlockException> FailAsync(RbdTarget target)
            => await Assert.ThrowsAsync<BlockException>(() => RbdImage.OpenAsync(target, readOnly: true));
        var missing = cluster.TargetOf("none");
        Assert.Contains("rbd/none: No such file", (await FailAsync(missing)).Message, StringComparison.Ordinal);
        Assert.Contains("error opening pool nopool", (await FailAsync(missing with { Pool = "nopool" })).Message, StringComparison.Ordinal);
        Assert.Contains(
            "error reading conf file /nowhere", (await FailAsync(missing with { ConfigurationFile = "/nowhere" })).Message,
            StringComparison.Ordinal);
        var stranger = await FailAsync(missing with { User = "stranger" });
        Assert.Contains("as client.stranger", stranger.Message, StringComparison.Ordinal);
        Assert.Contains("keyring", stranger.Message, StringComparison.Ordinal);
    }
}
