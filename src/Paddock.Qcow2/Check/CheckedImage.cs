using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>
/// The header and the top-level tables of an image. The checker shares no parser with the engine, so that an error of one shows in the
/// other. What makes a check meaningless is rejected here; everything else the passes report.
/// </summary>
internal sealed class CheckedImage
{
    /// <summary>QEMU's limits on what an image may claim.</summary>
    public const long MaxL1Bytes = 32 << 20;

    private const long MaxRefcountTableBytes = 8 << 20;
    private const int IncompatibleField = 72, AutoclearField = 88, SnapshotCountField = 60;
    private const ulong KnownIncompatible = 0x3f | (ulong)IncompatibleFeatures.ZoneData;
    private const ulong OffsetLimit = 1UL << 56;

    private CheckedImage(IStorage storage, byte[] header)
    {
        Storage = storage;
        Header = header;
    }

    public IStorage Storage { get; }

    /// <summary>The first cluster, as stored.</summary>
    public byte[] Header { get; private set; }

    public bool IsVersion3 { get; private set; }

    public int ClusterBits { get; private set; }

    public int ClusterSize => 1 << ClusterBits;

    public long VirtualSize { get; private set; }

    public HostOffset L1Offset { get; private set; }

    public uint L1Entries { get; private set; }

    public HostOffset RefcountTableOffset { get; set; }

    public uint RefcountTableClusters { get; set; }

    public int RefcountOrder { get; private set; }

    public ulong RefcountMax => RefcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << RefcountOrder)) - 1;

    public ulong Incompatible { get; private set; }

    public ulong Autoclear { get; private set; }

    public bool HasBackingFile { get; private set; }

    public bool HasDataFile => (Incompatible & 4) != 0;

    public bool HasExtendedL2 => (Incompatible & 16) != 0;

    public int L2EntrySize => HasExtendedL2 ? 16 : 8;

    public int L2Entries => ClusterSize / L2EntrySize;

    public HostOffset SnapshotTableOffset { get; private set; }

    /// <summary>The snapshot table as it was read.</summary>
    public CheckedSnapshotTable SnapshotTable { get; private set; } = new();

    public long SnapshotTableBytes => SnapshotTable.Bytes;

    public List<CheckedSnapshot> Snapshots => SnapshotTable.Entries;

    /// <summary>Header extensions that the check looks into: type and data.</summary>
    public Dictionary<uint, byte[]> Extensions { get; } = [];

    /// <summary>Where the data of each of them begins in the header.</summary>
    public Dictionary<uint, long> ExtensionOffsets { get; } = [];

    /// <summary>Reads the header and the snapshot table.</summary>
    /// <param name="storage">The image.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <param name="repairs">Whether snapshots beyond the limits are dropped.</param>
    /// <param name="print">Takes the lines about that.</param>
    public static async ValueTask<CheckedImage> ReadAsync(
        IStorage storage, CancellationToken cancellationToken, bool repairs = false, Action<string>? print = null)
    {
        var header = new byte[512];
        await storage.ReadAsync(0, header, cancellationToken);
        var image = new CheckedImage(storage, header);
        image.ParseHeader();
        image.Header = new byte[image.ClusterSize];
        await storage.ReadAsync(0, image.Header, cancellationToken);
        image.ParseExtensions();
        image.SnapshotTable = await CheckedSnapshotTable.ReadAsync(
            storage, image.U64(64), image.U32(SnapshotCountField), image.ClusterSize, repairs, print, cancellationToken);
        image.SnapshotTableOffset = image.Snapshots.Count == 0 ? default : new HostOffset((long)image.U64(64));
        return image;
    }

    public long ClustersOf(long bytes) => (bytes >> ClusterBits) + ((bytes & (ClusterSize - 1)) != 0 ? 1 : 0);

    /// <summary>The cluster of the storage that an offset lies in.</summary>
    public HostCluster ClusterOf(HostOffset offset) => new(offset.Value >> ClusterBits);

    /// <summary>Where a cluster starts.</summary>
    public HostOffset OffsetOf(HostCluster cluster) => new(cluster.Index << ClusterBits);

    public bool IsAligned(HostOffset offset) => (offset.Value & (ClusterSize - 1)) == 0;

    /// <summary>Changes the incompatible feature bits, durably.</summary>
    public async ValueTask WriteIncompatibleAsync(ulong bits, CancellationToken cancellationToken)
    {
        await WriteFeaturesAsync(IncompatibleField, bits, cancellationToken);
        Incompatible = bits;
    }

    /// <summary>Changes the autoclear feature bits, durably.</summary>
    public async ValueTask WriteAutoclearAsync(ulong bits, CancellationToken cancellationToken)
    {
        await WriteFeaturesAsync(AutoclearField, bits, cancellationToken);
        Autoclear = bits;
    }

    private async ValueTask WriteFeaturesAsync(long field, ulong bits, CancellationToken cancellationToken)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, bits);
        await Storage.WriteAsync(field, bytes, cancellationToken);
        await Storage.FlushAsync(cancellationToken);
    }

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);

    private ulong U64(int at) => BinaryPrimitives.ReadUInt64BigEndian(Header.AsSpan(at));

    private uint U32(int at) => BinaryPrimitives.ReadUInt32BigEndian(Header.AsSpan(at));

    private void ParseHeader()
    {
        if (U32(0) != 0x514649fb)
        {
            throw Invalid("Image is not in qcow2 format");
        }

        uint version = U32(4);
        if (version is not (2 or 3))
        {
            throw new BlockException(BlockError.NotSupported, $"Unsupported qcow2 version {version}");
        }

        uint bits = U32(20);
        if (bits is < 9 or > 21)
        {
            throw Invalid($"Unsupported cluster size: 2^{bits}");
        }

        IsVersion3 = version == 3;
        ClusterBits = (int)bits;
        HasBackingFile = U64(8) != 0;
        Incompatible = IsVersion3 ? U64(IncompatibleField) : 0;
        Autoclear = IsVersion3 ? U64(AutoclearField) : 0;
        if ((Incompatible & ~KnownIncompatible) != 0)
        {
            throw new BlockException(
                BlockError.NotSupported,
                $"Unsupported qcow2 feature(s): Unknown incompatible feature: {Incompatible & ~KnownIncompatible:x}");
        }

        uint order = IsVersion3 ? U32(96) : 4;
        if (order > 6)
        {
            throw Invalid("Reference count entry width too large; may not exceed 64 bits");
        }

        RefcountOrder = (int)order;
        ParseTables();
    }

    private void ParseTables()
    {
        ulong size = U64(24);
        VirtualSize = size <= long.MaxValue ? (long)size : throw Invalid("Image is too big");
        L1Entries = U32(36);
        L1Offset = TableOffset(40, L1Entries * 8L, MaxL1Bytes, "Active L1 table");
        long covered = (long)L2Entries << ClusterBits;
        if (VirtualSize / covered + (VirtualSize % covered != 0 ? 1 : 0) > L1Entries)
        {
            throw Invalid("L1 table is too small");
        }

        RefcountTableClusters = U32(56);
        RefcountTableOffset = TableOffset(48, (long)RefcountTableClusters << ClusterBits, MaxRefcountTableBytes, "Reference count table");
    }

    private HostOffset TableOffset(int at, long bytes, long limit, string what)
    {
        ulong offset = U64(at);
        if (bytes > limit)
        {
            throw new BlockException(BlockError.TooLarge, $"{what} too large");
        }

        return offset < OffsetLimit && (offset & (ulong)(ClusterSize - 1)) == 0
            ? new HostOffset((long)offset)
            : throw Invalid($"{what} offset invalid");
    }

    private void ParseExtensions()
    {
        uint length = IsVersion3 ? U32(100) : 72;
        ulong end = U64(8) is > 0 and var backing && backing < (ulong)ClusterSize ? backing : (ulong)ClusterSize;
        if (IsVersion3 && (length < 104 || length > ClusterSize || length % 8 != 0))
        {
            throw Invalid("qcow2 header length is invalid");
        }

        for (ulong at = length; at + 8 <= end;)
        {
            uint type = U32((int)at);
            uint bytes = U32((int)at + 4);
            at += 8;
            if (type == 0)
            {
                return;
            }

            if (bytes > end - at)
            {
                throw new ImageCorruptException(
                    "header extension", new HostOffset((long)at - 8), $"type {type:x} is {bytes} bytes long: too large");
            }

            if (Extensions.TryAdd(type, Header.AsSpan((int)at, (int)bytes).ToArray()))
            {
                ExtensionOffsets[type] = (long)at;
            }

            at += (bytes + 7UL) & ~7UL;
        }
    }

    /// <summary>Changes the number of snapshots that the header names, durably.</summary>
    public async ValueTask WriteSnapshotCountAsync(uint count, CancellationToken cancellationToken)
    {
        var bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, count);
        await Storage.WriteAsync(SnapshotCountField, bytes, cancellationToken);
        await Storage.FlushAsync(cancellationToken);
    }
}
