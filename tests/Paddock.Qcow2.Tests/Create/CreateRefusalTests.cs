using Paddock.Block;

namespace Paddock.Qcow2.Tests.Create;

public class CreateRefusalTests
{
    private const string TooLarge = "The image size is too large for file format 'qcow2' (try using a larger cluster size)";
    private const string Cluster = "Cluster size must be a power of two between 512 and 2048k";
    private const string Width = "Refcount width must be a power of two and may not exceed 64 bits";

    public static IEnumerable<TheoryDataRow<Qcow2CreateOptions, BlockError, string>> Cases()
    {
        var plain = new Qcow2CreateOptions { Size = 1 << 20 };
        foreach (int size in new[] { 0, -1, 256, 1000, 511, 65537, 4 << 20, int.MinValue })
        {
            yield return new(plain with { ClusterSize = size }, BlockError.InvalidArgument, Cluster);
        }

        foreach (int bits in new[] { 0, -1, 3, 15, 65, 128, int.MinValue })
        {
            yield return new(plain with { RefcountBits = bits }, BlockError.InvalidArgument, Width);
        }

        var old = plain with { Version = 2 };
        yield return new(
            old with { RefcountBits = 8 }, BlockError.InvalidArgument,
            "Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)");
        yield return new(
            old with { LazyRefcounts = true }, BlockError.InvalidArgument,
            "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        yield return new(
            old with { Compression = Qcow2Compression.Zstd }, BlockError.InvalidArgument,
            "Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        yield return new(
            old with { ExtendedL2 = true, ClusterSize = 8192 }, BlockError.InvalidArgument,
            "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        yield return new(
            plain with { ExtendedL2 = true, ClusterSize = 8192 }, BlockError.InvalidArgument,
            "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
        yield return new(plain with { ExtendedL2 = true, Size = (1L << 50) + 1 }, BlockError.TooLarge, TooLarge);
        yield return new(plain with { Size = 1L << 40, ClusterSize = 512 }, BlockError.TooLarge, TooLarge);
        yield return new(plain with { Size = (128L << 30) + 1, ClusterSize = 512 }, BlockError.TooLarge, TooLarge);
        yield return new(plain with { Size = long.MaxValue }, BlockError.TooLarge, TooLarge);
        yield return new(plain with { Size = long.MaxValue, ClusterSize = 2 << 20 }, BlockError.TooLarge, TooLarge);
        yield return new(
            plain with { BackingFormat = "raw" }, BlockError.InvalidArgument, "Backing format cannot be used without backing file");
        yield return new(
            plain with { BackingFile = "b", BackingFormat = "raw", Preallocation = Preallocation.Metadata }, BlockError.InvalidArgument,
            "Backing file and preallocation can only be used at the same time if extended_l2 is on");
        yield return new(
            plain with { BackingFile = new string('x', 1024), BackingFormat = "raw" }, BlockError.InvalidArgument,
            "Backing file name too long");
        yield return new(
            plain with { BackingFile = new string('x', 400), BackingFormat = "raw", ClusterSize = 512 }, BlockError.InvalidArgument,
            "Backing file name too long");
    }

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public async Task A_refused_option_is_named_and_nothing_is_written(Qcow2CreateOptions options, BlockError error, string message)
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(0, "as it was"u8.ToArray(), TestContext.Current.CancellationToken);
        var refusal = await Assert.ThrowsAsync<BlockException>(
            () => Qcow2Image.CreateAsync(storage, options, TestContext.Current.CancellationToken).AsTask());
        Assert.Equal(message, refusal.Message);
        Assert.Equal(error, refusal.Error);
        Assert.Equal(9, storage.Length);
    }

    [Fact]
    public async Task The_largest_disk_of_a_cluster_size_can_be_made()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 128L << 30, ClusterSize = 512 }, TestContext.Current.CancellationToken);
        await using var image = await Qcow2Image.OpenAsync(storage, new() { ReadOnly = true }, TestContext.Current.CancellationToken);
        Assert.Equal(128L << 30, image.Length);
    }
}
