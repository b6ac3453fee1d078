using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Create;

/// <summary>New images against those that the real qemu-img makes from the same options.</summary>
public class CreateAsQemuTests
{
    public static IEnumerable<TheoryDataRow<Qcow2CreateOptions, string>> EqualCases()
    {
        long[] sizes = [0, 1, 512, 513, 1 << 20, (64 << 20) + 512, 1L << 30];
        foreach (int cluster in new[] { 512, 1024, 2048, 4096, 8192, 65536, 1 << 20, 2 << 20 })
        {
            foreach (long size in sizes)
            {
                if (Fits(cluster, 16, size))
                {
                    yield return new(new() { Size = size, ClusterSize = cluster }, $"cluster_size={cluster}");
                }
            }
        }

        foreach (int bits in new[] { 1, 2, 4, 8, 16, 32, 64 })
        {
            foreach (int cluster in new[] { 512, 4096, 65536 })
            {
                yield return new(
                    new() { Size = 1 << 20, ClusterSize = cluster, RefcountBits = bits }, $"cluster_size={cluster},refcount_bits={bits}");
            }
        }

        foreach (long size in new[] { 0, 1L << 20, 1L << 40, 8L << 40 })
        {
            yield return new(new() { Size = size, Version = 2 }, "compat=0.10");
            yield return new(new() { Size = size, Compression = Qcow2Compression.Zstd }, "compression_type=zstd");
            yield return new(new() { Size = size, LazyRefcounts = true }, "lazy_refcounts=on");
            yield return new(new() { Size = size, ClusterSize = 2 << 20, RefcountBits = 1 }, "cluster_size=2M,refcount_bits=1");
            yield return new(new() { Size = size, ExtendedL2 = true }, "extended_l2=on");
            yield return new(new() { Size = size, ExtendedL2 = true, ClusterSize = 2 << 20 }, "extended_l2=on,cluster_size=2M");
        }
    }

    [Theory]
    [MemberData(nameof(EqualCases), DisableDiscoveryEnumeration = true)]
    public async Task A_new_image_is_equal_to_qemus_byte_for_byte(Qcow2CreateOptions options, string qemuOptions)
    {
        string path = Path.GetTempFileName();
        try
        {
            PeerImage.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", qemuOptions, path, $"{options.Size}");
            await AssertEqualAsync(PeerImage.Load(path), await CreateAsync(options));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(3, 65536, "base.img", "raw")]
    [InlineData(3, 512, "base.img", "raw")]
    [InlineData(3, 4096, "a/rather/long/path/to/a/base/image.qcow2", "qcow2")]
    [InlineData(2, 65536, "base.img", "qcow2")]
    [InlineData(3, 65536, "größer/als/früher.qcow2", "qcow2")]
    public async Task An_overlay_is_equal_to_qemus_byte_for_byte(int version, int cluster, string backing, string format)
    {
        string path = Path.GetTempFileName();
        try
        {
            PeerImage.Run(
                "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o", $"compat={(version == 2 ? "0.10" : "1.1")},cluster_size={cluster}",
                "-b", backing, "-F", format, path, "1M");
            var ours = await CreateAsync(
                new() { Size = 1 << 20, Version = version, ClusterSize = cluster, BackingFile = backing, BackingFormat = format });
            await AssertEqualAsync(PeerImage.Load(path), ours);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // Where more than one refcount block is needed, or tables are preallocated, ours lie in another order: qemu-img lets its
    // allocator grow the refcounts as it goes, and Paddock writes them all at once before the L1 table.
    [Theory]
    [InlineData(512, 16, 8L << 30, Preallocation.Off)]
    [InlineData(512, 64, 8L << 30, Preallocation.Off)]
    [InlineData(512, 1, 128L << 30, Preallocation.Off)]
    [InlineData(4096, 64, 1L << 40, Preallocation.Off)]
    [InlineData(4096, 16, 4L << 40, Preallocation.Off)]
    [InlineData(65536, 16, 100 << 20, Preallocation.Metadata)]
    [InlineData(65536, 16, 100000, Preallocation.Metadata)]
    [InlineData(65536, 16, 0, Preallocation.Metadata)]
    [InlineData(4096, 64, 20 << 20, Preallocation.Metadata)]
    [InlineData(512, 16, 8 << 20, Preallocation.Metadata)]
    [InlineData(512, 1, 1 << 20, Preallocation.Metadata)]
    [InlineData(4096, 16, 20 << 20, Preallocation.Falloc)]
    [InlineData(4096, 16, 20 << 20, Preallocation.Full)]
    [InlineData(2 << 20, 16, 3 << 20, Preallocation.Full)]
    public async Task Where_the_layout_differs_qemu_finds_it_sound_and_of_equal_contents(
        int cluster, int bits, long size, Preallocation preallocation)
    {
        string path = Path.GetTempFileName();
        try
        {
            var storage = await CreateAsync(
                new() { Size = size, ClusterSize = cluster, RefcountBits = bits, Preallocation = preallocation });
            PeerImage.Save(storage, path);
            Assert.Contains("No errors", PeerImage.Run("qemu-img", "check", path));
            if (preallocation != Preallocation.Off && size > 0)
            {
                string map = PeerImage.Run("qemu-img", "map", "--output=json", path);
                Assert.DoesNotContain("\"present\": false", map);
                Assert.Contains("\"offset\":", map);
            }

            await using var image = await Qcow2Image.OpenAsync(storage, new() { ReadOnly = true }, TestContext.Current.CancellationToken);
            Assert.Equal((size + 511) & ~511, image.Length);
            await AssertZeroesAsync(image, Math.Min(size, 32 << 20));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task A_disk_of_1_TiB_takes_a_few_writes_and_little_storage()
    {
        var storage = await CreateAsync(new() { Size = 1L << 40 });
        Assert.Equal(212992, storage.Length); // 3 clusters and 2048 L1 entries
    }

    private static bool Fits(int cluster, int bits, long size)
    {
        // one refcount block counts the whole image, and the L1 table is within its limit
        var geometry = new ClusterGeometry(int.Log2(cluster), int.Log2(bits));
        long l1 = geometry.L1EntriesFor(size) * 8;
        return l1 <= Qcow2Limits.MaxL1Bytes && 3 + geometry.ClustersFor(l1) <= 1L << geometry.RefcountBlockBits;
    }

    private static async Task<MemoryStorage> CreateAsync(Qcow2CreateOptions options)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, options);
        return storage;
    }

    private static async Task AssertEqualAsync(MemoryStorage expected, MemoryStorage actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (left, right) = (new byte[65536], new byte[65536]);
        for (long at = 0; at < expected.Length; at += left.Length)
        {
            await expected.ReadAsync(at, left);
            await actual.ReadAsync(at, right);
            int same = left.AsSpan().CommonPrefixLength(right);
            Assert.True(same == left.Length,
                $"byte {at + same:x} differs: QEMU has {left[same % left.Length]:x2}, ours {right[same % left.Length]:x2}");
        }
    }

    private static async Task AssertZeroesAsync(IBlockDevice device, long length)
    {
        var buffer = new byte[1 << 20];
        for (long at = 0; at < length; at += buffer.Length)
        {
            var piece = buffer.AsMemory(0, (int)Math.Min(buffer.Length, length - at));
            piece.Span.Fill(0xff);
            await device.ReadAsync(at, piece);
            Assert.False(piece.Span.ContainsAnyExcept((byte)0), $"not zero near {at}");
        }
    }
}
