namespace Paddock.Qcow2.Tests.Check;

public class BrokenImageTests
{
    private const long L1 = 0x30000;
    private const long L2 = 0x40000;
    private const ulong Copied = 1UL << 63;

    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=4k,refcount_bits=1")]
    [InlineData("refcount_bits=2")]
    [InlineData("refcount_bits=64,cluster_size=2M")]
    [InlineData("refcount_bits=32,compression_type=zstd")]
    [InlineData("compat=0.10")]
    [InlineData("extended_l2=on")]
    [InlineData("preallocation=metadata")]
    [InlineData("lazy_refcounts=on")]
    public async Task Sound_images_count_as_QEMU_counts_them(string options)
    {
        using var peer = new CheckAgainstQemu();
        peer.Create("16M", options);
        peer.Io("write -P 1 0 1M", "write -P 2 5M 100k", "write -P 3 3M 64k", "write -z 8M 1M", "write -P 4 4M 512", "discard 0 128k");
        await peer.AssertSameAsync();
    }

    [Fact]
    public async Task Snapshots_and_compressed_clusters_count_as_QEMU_counts_them()
    {
        using var peer = new CheckAgainstQemu();
        peer.Create("64M", "cluster_size=64k");
        peer.Io("write -P 1 0 1M", "write -c -P 2 5M 64k", "write -c -P 3 6M 64k");
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0, CheckAgainstQemu.Run("qemu-img", "snapshot", "-c", $"s{i}", peer.Path).Exit);
            peer.Io($"write -P 9 {i * 64}k 64k");
        }

        await peer.AssertSameAsync();
    }

    [Theory]
    [InlineData("leaked cluster")]
    [InlineData("data refcount 0")]
    [InlineData("data refcount 2")]
    [InlineData("copied flag missing in L2")]
    [InlineData("copied flag missing in L1")]
    [InlineData("refcount block outside")]
    [InlineData("refcount block on the header")]
    [InlineData("refcount table empty")]
    [InlineData("preallocated unaligned")]
    [InlineData("dirty bit")]
    public async Task Broken_images_are_reported_and_repaired_as_by_QEMU(string fault)
    {
        using var peer = Broken(fault);
        await peer.AssertSameAsync();
    }

    [Theory]
    [InlineData("data unaligned")]
    [InlineData("data past the end")]
    [InlineData("two entries share a cluster")]
    [InlineData("L2 entry reserved bits")]
    [InlineData("L1 entry reserved bits")]
    [InlineData("L2 table past the end")]
    public async Task Irreparable_damage_is_reported_as_by_QEMU(string fault)
    {
        using var peer = Broken(fault);
        await peer.AssertSameAsync(repairs: false);
    }

    [Theory]
    [InlineData("refcount block unaligned")]
    [InlineData("refcount block far outside")]
    [InlineData("refcount table reserved bits")]
    public async Task Refcount_tables_on_which_the_repair_of_QEMU_stumbles_are_rebuilt(string fault)
    {
        using var peer = Broken(fault);
        await peer.AssertSameAsync(sameRepair: false);
    }

    [Theory]
    [InlineData("both bits of a subcluster", true, false)]
    [InlineData("subclusters without a cluster", true, false)]
    [InlineData("bitmap of a compressed cluster", true, false)]
    [InlineData("data unaligned", false, false)]
    [InlineData("preallocated unaligned", true, true)]
    [InlineData("zero bit of a standard entry", true, true)]
    [InlineData("copied flag missing", true, true)]
    [InlineData("refcount 0", true, true)]
    public async Task Broken_extended_entries_are_reported_as_by_QEMU_and_repaired(string fault, bool repairs, bool sameRepair)
    {
        using var peer = new CheckAgainstQemu();
        peer.Create("64M", "extended_l2=on");
        peer.Io("write -P 1 0 256k", "write -c -P 2 1M 64k", "write -P 3 2M 4k", "write -z 2056k 4k");
        switch (fault)
        {
            case "both bits of a subcluster": peer.Patch64(L2 + 8, peer.Read64(L2 + 8) | 1UL << 40); break;
            case "subclusters without a cluster": peer.Patch64(L2 + (8 * 16) + 8, 6); break;
            case "bitmap of a compressed cluster": peer.Patch64(L2 + (16 * 16) + 8, 1); break;
            case "data unaligned": peer.Patch64(L2 + (32 * 16), peer.Read64(L2 + (32 * 16)) | 0x200); break;
            case "preallocated unaligned":
                peer.Patch64(L2 + (32 * 16), peer.Read64(L2 + (32 * 16)) | 0x200);
                peer.Patch64(L2 + (32 * 16) + 8, 6UL << 32);
                break;
            case "zero bit of a standard entry": peer.Patch64(L2, peer.Read64(L2) | 1); break;
            case "copied flag missing": peer.Patch64(L2, peer.Read64(L2) & ~Copied); break;
            case "refcount 0": peer.Patch(0x20000 + 12, 0, 0); break;
            default: throw new ArgumentException(fault);
        }

        await peer.AssertSameAsync(repairs, sameRepair);
    }

    private static CheckAgainstQemu Broken(string fault)
    {
        var peer = new CheckAgainstQemu();
        peer.Create("64M", "cluster_size=64k");
        peer.Io("write -P 1 0 256k");
        Assert.Equal(L1 + 0x10000, (long)(peer.Read64(L1) & ~Copied));
        switch (fault)
        {
            case "leaked cluster": peer.Patch(0x20000 + 40, 0, 1); break;
            case "data refcount 0": peer.Patch(0x20000 + 12, 0, 0); break;
            case "data refcount 2": peer.Patch(0x20000 + 12, 0, 2); break;
            case "copied flag missing in L2": peer.Patch64(L2 + 8, peer.Read64(L2 + 8) & ~Copied); break;
            case "copied flag missing in L1": peer.Patch64(L1, peer.Read64(L1) & ~Copied); break;
            case "refcount block unaligned": peer.Patch64(0x10000, 0x22a00); break;
            case "refcount block outside": peer.Patch64(0x10008, 0x1000000); break;
            case "refcount block far outside": peer.Patch64(0x10008, 0x7fffffff_fffe0000); break;
            case "refcount block on the header": peer.Patch64(0x10008, 0x20000); break;
            case "refcount table reserved bits": peer.Patch64(0x10000, 0x20001); break;
            case "refcount table empty": peer.Patch64(0x10000, 0); break;
            case "preallocated unaligned": peer.Patch64(L2 + 64, 0x2a00 | Copied | 1); break;
            case "dirty bit": peer.Patch(79, 1); break;
            case "data unaligned": peer.Patch64(L2 + 64, 0x52a00 | Copied); break;
            case "data past the end": peer.Patch64(L2 + 64, 0x5000000 | Copied); break;
            case "two entries share a cluster": peer.Patch64(L2 + 64, 0x50000 | Copied); break;
            case "L2 entry reserved bits": peer.Patch64(L2, peer.Read64(L2) | 4); break;
            case "L1 entry reserved bits": peer.Patch64(L1, peer.Read64(L1) | 4); break;
            case "L2 table past the end": peer.Patch64(L1, 0x5000000 | Copied); break;
            default: throw new ArgumentException(fault);
        }

        return peer;
    }
}
