using System.Buffers.Binary;
using Paddock.Qcow2.Check;
using Paddock.Qcow2.Format;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Check.Passes;

/// <summary>
/// An image of 1 KiB clusters and the context of a check, for tests of one pass. Cluster 0 is the header, 1 the refcount table, 2 the only
/// refcount block.
/// </summary>
internal sealed class PassBench
{
    public const int Cluster = 1024;
    public const ulong Copied = 1UL << 63;
    public const long RefcountTable = Cluster, RefcountBlock = 2 * Cluster;

    private PassBench(CrashStorage storage) => Storage = storage;

    public CrashStorage Storage { get; }

    public List<string> Lines { get; } = [];

    public List<double> Progress { get; } = [];

    public CheckContext Context { get; private set; } = null!;

    public Qcow2CheckReport Report => Context.Report;

    /// <summary>The offset of the first L2 table.</summary>
    public long L2 => (long)(Read64(Context.Image.L1Offset.Value) & EntryBits.OffsetMask);

    /// <summary>An image that has <paramref name="dataClusters"/> written from its start.</summary>
    public static async Task<PassBench> CreateAsync(
        Qcow2Repair repair = Qcow2Repair.None, int dataClusters = 2, Action<PagedStorage>? change = null, ZonedCreateOptions? zoned = null)
    {
        var image = new PagedStorage("image");
        await Qcow2Image.CreateAsync(image, new Qcow2CreateOptions { Size = 512 << 10, ClusterSize = Cluster, Zoned = zoned });
        if (dataClusters > 0)
        {
            await using var disk = await Qcow2Image.OpenAsync(image.Kept(), new Qcow2OpenOptions());
            await disk.WriteAsync(0, new byte[dataClusters * Cluster].AsMemory());
        }

        change?.Invoke(image);
        var bench = new PassBench(new CrashStorage(image));
        await bench.StartAsync(repair);
        return bench;
    }

    /// <summary>Begins another check of the same storage.</summary>
    public async Task StartAsync(Qcow2Repair repair)
    {
        Lines.Clear();
        Progress.Clear();
        Context = new CheckContext(await CheckedImage.ReadAsync(Storage, default), repair, Lines.Add, Progress.Add);
    }

    public static async Task RunAsync(params ICheckPass[] passes)
    {
        foreach (var pass in passes)
        {
            await pass.RunAsync(default);
        }
    }

    public ulong CountOf(long offset) => Context.References[new(offset / Cluster)];

    public ulong Read64(long offset) => Read64(Storage.Live, offset);

    public void Write64(long offset, ulong value) => Write64(Storage.Live, offset, value);

    public static ulong Read64(PagedStorage storage, long offset)
    {
        var bytes = new byte[8];
        storage.Read(offset, bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    public static void Write64(PagedStorage storage, long offset, ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        storage.Write(offset, bytes);
    }

    /// <summary>Sets a stored refcount of 16 bits.</summary>
    public static void SetRefcount(PagedStorage storage, long cluster, ushort value)
    {
        var bytes = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, value);
        storage.Write(RefcountBlock + (cluster * 2), bytes);
    }
}
