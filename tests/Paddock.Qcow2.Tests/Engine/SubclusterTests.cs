using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Images with extended L2 entries: what each kind of write does to the subclusters, and what it costs.</summary>
public class SubclusterTests
{
    private const int K = 1024;
    private const int Cluster = 64 * K, Subcluster = 2 * K;

    [Fact]
    public async Task Small_write_into_a_2_MiB_cluster_over_a_backing_file_copies_less_than_64_KiB()
    {
        var backing = new CountingDevice(16 << 20);
        var storage = new CountingStorage();
        await using var image = await MakeAsync(storage, 16 << 20, 2 << 20, backing);
        foreach (long offset in new[] { 4 * K, (5 << 20) + (3 * K), (15 << 20) + 60 * K })
        {
            backing.BytesRead = 0;
            storage.BytesWritten = 0;
            await image.WriteAsync(offset, Filled(4 * K, 1));
            Assert.InRange(backing.BytesRead, 1, 128 * K - 4 * K);
            long subclusters = ((offset + (4 * K) - 1) / (64 * K)) - (offset / (64 * K)) + 1;
            Assert.InRange(backing.BytesRead, 1, (subclusters * 64 * K) - (4 * K));

            // the data with their subclusters, and tables that are taken space for
            Assert.InRange(storage.BytesWritten, 4 * K, (subclusters * 64 * K) + (64 * K));
        }

        await AssertContentsAsync(image, backing, (4 * K, 4 * K, 1), ((5 << 20) + (3 * K), 4 * K, 1), ((15 << 20) + (60 * K), 4 * K, 1));
    }

    [Fact]
    public async Task Write_of_a_whole_subcluster_reads_nothing_from_the_backing_file()
    {
        var backing = new CountingDevice(4 << 20);
        await using var image = await MakeAsync(new MemoryStorage(), 4 << 20, 2 << 20, backing);
        await image.WriteAsync(128 * K, Filled(64 * K, 1));
        Assert.Equal(0, backing.BytesRead);
        await AssertContentsAsync(image, backing, (128 * K, 64 * K, 1));
    }

    [Fact]
    public async Task Further_subclusters_of_a_cluster_are_stored_in_that_cluster()
    {
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, 1 << 20, Cluster, null);
        await image.WriteAsync(3 * Subcluster, Filled(Subcluster, 1));
        await image.WriteAsync(10 * Subcluster, Filled(3 * Subcluster, 2));
        await image.FlushAsync();
        var entry = await EntryAsync(storage, 0);
        Assert.Equal(0x1c08UL, entry.Subclusters.Raw);
        Assert.True(entry.HasOwnCluster);
        await image.WriteAsync(11 * Subcluster, Filled(Subcluster, 3));
        await image.FlushAsync();
        Assert.Equal(entry, await EntryAsync(storage, 0));
        Assert.Equal(entry.Cluster.Offset.Value, (await image.GetStatusAsync(3 * Subcluster, Subcluster)).HostOffset - (3 * Subcluster));
    }

    [Fact]
    public async Task Writes_into_different_subclusters_of_a_cluster_do_not_wait_for_each_other()
    {
        var backing = new CountingDevice(1 << 20);
        await using var image = await MakeAsync(new MemoryStorage(), 1 << 20, Cluster, backing);
        await image.WriteAsync(0, Filled(Subcluster, 1));
        backing.Held = new TaskCompletionSource();
        var held = image.WriteAsync(4 * Subcluster, Filled(512, 2)).AsTask();
        await image.WriteAsync(8 * Subcluster, Filled(Subcluster, 3)).AsTask().WaitAsync(TimeSpan.FromMinutes(1));
        var same = image.WriteAsync((4 * Subcluster) + 512, Filled(512, 4)).AsTask();
        Assert.False(held.IsCompleted || same.IsCompleted);
        backing.Held.SetResult();
        await held;
        await same;
        backing.Held = null;
        await AssertContentsAsync(
            image, backing, (0, Subcluster, 1), (4 * Subcluster, 512, 2), ((4 * Subcluster) + 512, 512, 4),
            (8 * Subcluster, Subcluster, 3));
    }

    [Fact]
    public async Task Zeroing_whole_subclusters_changes_their_bits_alone()
    {
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, 1 << 20, Cluster, null);
        await image.WriteAsync(0, Filled(Cluster, 1));
        await image.WriteZeroesAsync(4 * Subcluster, 8 * Subcluster, ZeroFlags.MayUnmap);
        await image.FlushAsync();
        var entry = await EntryAsync(storage, 0);
        Assert.Equal((0xffff_f00fu, 0x0ff0u), (entry.Subclusters.Allocated, entry.Subclusters.Zero));
        await image.WriteAsync(5 * Subcluster + 512, Filled(512, 2));
        await image.FlushAsync();
        entry = await EntryAsync(storage, 0);
        Assert.Equal((0xffff_f02fu, 0x0fd0u), (entry.Subclusters.Allocated, entry.Subclusters.Zero));
        await AssertContentsAsync(
            image, null, (0, 4 * Subcluster, 1), (5 * Subcluster + 512, 512, 2), (12 * Subcluster, 20 * Subcluster, 1));
    }

    [Fact]
    public async Task Zeroing_a_whole_cluster_with_unmap_frees_it()
    {
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, 1 << 20, Cluster, null);
        await image.WriteAsync(Cluster, Filled(2 * Cluster, 1));
        await image.WriteZeroesAsync(Cluster, Cluster, ZeroFlags.MayUnmap);
        await image.WriteZeroesAsync(2 * Cluster, Cluster);
        await image.FlushAsync();
        Assert.Equal(ExtendedL2Entry.Zero, await EntryAsync(storage, 1));
        var kept = await EntryAsync(storage, 2);
        Assert.Equal((true, SubclusterMap.AllZero), (kept.HasOwnCluster, kept.Subclusters));
    }

    [Fact]
    public async Task Write_into_a_compressed_cluster_unpacks_all_of_it()
    {
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, 1 << 20, Cluster, null);
        await image.WriteCompressedAsync(0, Filled(Cluster, 1));
        await image.WriteAsync(Cluster, Filled(512, 3));
        await image.FlushAsync();
        var packed = await EntryAsync(storage, 0);
        Assert.Equal((true, 0UL), (packed.Cluster.IsCompressed, packed.Subclusters.Raw));
        await image.WriteAsync(7 * Subcluster, Filled(512, 2));
        await image.FlushAsync();
        Assert.Equal(SubclusterMap.AllAllocated, (await EntryAsync(storage, 0)).Subclusters);
        await AssertContentsAsync(
            image, null, (0, 7 * Subcluster, 1), (7 * Subcluster, 512, 2),
            (7 * Subcluster + 512, Cluster - (7 * Subcluster) - 512, 1), (Cluster, 512, 3));
    }

    [Fact]
    public async Task Compressed_write_takes_the_place_of_zeroes_but_not_of_data()
    {
        await using var image = await MakeAsync(new MemoryStorage(), 1 << 20, Cluster, null);
        await image.WriteZeroesAsync(0, Cluster);
        await image.WriteCompressedAsync(0, Filled(Cluster, 1));
        await image.WriteAsync(Cluster + Subcluster, Filled(512, 2));
        await Assert.ThrowsAsync<BlockException>(() => image.WriteCompressedAsync(Cluster, Filled(Cluster, 1)).AsTask());
        await AssertContentsAsync(image, null, (0, Cluster, 1), (Cluster + Subcluster, 512, 2));
    }

    [Theory]
    [InlineData(0UL, 1UL, "Invalid cluster entry found{0} (L2 offset: 0x40000, L2 index: 0x1)")]
    [InlineData(0x8000_0000_0000_0002UL, 1UL, "Invalid cluster entry found{0} (L2 offset: 0x40000, L2 index: 0x1)")]
    [InlineData(0x8000_0000_0006_0000UL, 0x1_0000_0001UL, "Invalid cluster entry found{0} (L2 offset: 0x40000, L2 index: 0x1)")]
    [InlineData(0x8000_0000_0006_0200UL, 1UL, null)]
    public async Task Entry_that_cannot_be_right_marks_the_image_corrupt(ulong cluster, ulong bits, string? message)
    {
        foreach (bool writes in new[] { false, true })
        {
            var storage = new MemoryStorage();
            await using (var made = await MakeAsync(new KeptStorage(storage), 1 << 20, Cluster, null))
            {
                await made.WriteAsync(4 * Cluster, Filled(512, 1));
            }

            await WriteEntryAsync(storage, 1, cluster, bits);
            List<string> said = [];
            var options = new Qcow2OpenOptions { OnCorruption = said.Add };
            await using (var image = await Qcow2Image.OpenAsync(new KeptStorage(storage), options))
            {
                var request = writes ? image.WriteAsync(Cluster, Filled(512, 1)) : image.ReadAsync(Cluster, new byte[512]);
                await Assert.ThrowsAsync<ImageCorruptException>(request.AsTask);
            }

            string text = message is not null ? string.Format(null, message, writes ? "" : " ")
                : writes ? "Data cluster offset 0x60200 unaligned (guest offset: 0x10000)"
                : "Cluster allocation offset 0x60200 unaligned (L2 offset: 0x40000, L2 index: 0x1)";
            Assert.Equal([text], said);
            Assert.Equal(18UL, await Read64Async(storage, 72));
        }
    }

    [Fact]
    public async Task Bitmap_of_a_compressed_cluster_is_ignored_by_reads()
    {
        var storage = new MemoryStorage();
        await using (var made = await MakeAsync(new KeptStorage(storage), 1 << 20, Cluster, null))
        {
            await made.WriteCompressedAsync(0, Filled(Cluster, 1));
        }

        var entry = await EntryAsync(storage, 0);
        await WriteEntryAsync(storage, 0, entry.Cluster.Raw, 0x1_8000_0001);
        await using var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        await AssertContentsAsync(image, null, (0, Cluster, 1));
    }

    [Theory]
    [InlineData(Cluster + 512)]
    [InlineData(Cluster + (4 * Subcluster))]
    [InlineData(Cluster + (4 * Subcluster) + 512)]
    public async Task Disk_that_shrinks_and_grows_reads_as_zeroes_after_the_old_end(int size)
    {
        var backing = new CountingDevice(1 << 20);
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, 1 << 20, Cluster, backing);
        await image.WriteAsync(0, Filled(2 * Cluster, 1));
        await image.ResizeAsync(size);
        await image.ResizeAsync(1 << 20);
        await AssertContentsAsync(image, null, (0, size, 1));
    }

    [Theory]
    [InlineData(Preallocation.Metadata)]
    [InlineData(Preallocation.Falloc)]
    [InlineData(Preallocation.Full)]
    public async Task Preallocated_image_shows_its_backing_file_and_grows_with_zeroes(Preallocation mode)
    {
        var backing = new CountingDevice(2 << 20);
        var storage = new MemoryStorage();
        await using var image = await MakeAsync(storage, (1 << 20) - (5 * K), Cluster, backing, mode);
        await AssertContentsAsync(image, backing);
        Assert.Equal(new SubclusterMap(0), (await EntryAsync(storage, 0)).Subclusters);
        Assert.True((await EntryAsync(storage, 15)).HasOwnCluster);
        await image.WriteAsync(5 * K, Filled(K, 1));
        await image.ResizeAsync((2 << 20) + (5 * K), mode);
        var found = new byte[image.Length];
        await image.ReadAsync(0, found);
        var expected = new byte[image.Length];
        await backing.ReadAsync(0, expected.AsMemory(0, (1 << 20) - (5 * K)));
        Filled(K, 1).CopyTo(expected, 5 * K);
        Assert.Equal(expected.Length, found.AsSpan().CommonPrefixLength(expected));
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private static async Task<IQcow2Device> MakeAsync(
        IStorage storage, long size, int cluster, IBlockDevice? backing, Preallocation preallocation = Preallocation.Off)
    {
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = size, ClusterSize = cluster, ExtendedL2 = true, Preallocation = preallocation,
            BackingFile = backing is null ? null : "base", BackingFormat = backing is null ? null : "raw",
        });
        return await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { Gate = new OneDeviceGate(backing) });
    }

    /// <summary>The disk reads as its backing device, or zeroes, but for the parts given.</summary>
    private static async Task AssertContentsAsync(
        IBlockDevice image, IBlockDevice? backing, params (int Offset, int Length, byte Value)[] parts)
    {
        var expected = new byte[image.Length];
        if (backing is not null)
        {
            await backing.ReadAsync(0, expected);
        }

        foreach (var (offset, length, value) in parts)
        {
            expected.AsSpan(offset, length).Fill(value);
        }

        var found = new byte[image.Length];
        await image.ReadAsync(0, found);
        Assert.Equal(expected.Length, found.AsSpan().CommonPrefixLength(expected));
    }

    private static async Task<ExtendedL2Entry> EntryAsync(IStorage storage, int index)
    {
        long at = await EntryAtAsync(storage, index);
        return new(new(await Read64Async(storage, at)), new(await Read64Async(storage, at + 8)));
    }

    private static async Task WriteEntryAsync(MemoryStorage storage, int index, ulong cluster, ulong bits)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, cluster);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(8), bits);
        await storage.WriteAsync(await EntryAtAsync(storage, index), bytes);
    }

    private static async Task<long> EntryAtAsync(IStorage storage, int index)
    {
        long l1 = (long)await Read64Async(storage, 40);
        return (long)(await Read64Async(storage, l1) & L2Entry.OffsetMask) + (index * 16);
    }

    private static async Task<ulong> Read64Async(IStorage storage, long offset)
    {
        var bytes = new byte[8];
        await storage.ReadAsync(offset, bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    private sealed class OneDeviceGate(IBlockDevice? device) : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
            => ValueTask.FromResult(device);
    }

    /// <summary>A disk of 1, 2, 3 ... that counts what is read.</summary>
    private sealed class CountingDevice(int length) : DelegatingDevice(new RawDevice(Contents(length), readOnly: true))
    {
        public long BytesRead { get; set; }

        /// <summary>What reads wait for; null: nothing.</summary>
        public TaskCompletionSource? Held { get; set; }

        public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            BytesRead += buffer.Length;
            await (Held?.Task ?? Task.CompletedTask);
            await base.ReadAsync(offset, buffer, cancellationToken);
        }

        private static MemoryStorage Contents(int length)
        {
            var bytes = new byte[length];
            for (int i = 0; i < length; i++)
            {
                bytes[i] = (byte)(100 + (i >> 9));
            }

            var storage = new MemoryStorage();
            storage.WriteAsync(0, bytes).AsTask().GetAwaiter().GetResult();
            return storage;
        }
    }

    private sealed class CountingStorage() : DelegatingStorage(new MemoryStorage())
    {
        public long BytesWritten { get; set; }

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        {
            BytesWritten += data.Length;
            return base.WriteAsync(offset, data, cancellationToken);
        }
    }
}
