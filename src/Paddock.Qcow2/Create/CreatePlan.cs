using System.Buffers.Binary;
using System.Text;
using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Create;

/// <summary>
/// Where everything of a new image lies, in the order that qemu-img gives it: header, refcount table, refcount blocks, zone table, L1
/// table.
/// </summary>
internal sealed class CreatePlan
{
    private const int SectorSize = 512;

    private readonly Qcow2CreateOptions _options;
    private readonly ClusterGeometry _geometry;
    private readonly long _size;
    private readonly long _l1Entries;
    private readonly byte[] _zoneTable;
    private readonly long _luksBytes;
    private readonly List<(long Offset, byte[] Bytes)> _regions = [];
    private long _tableClusters = 1;
    private long _blocks = 1;

    private CreatePlan(Qcow2CreateOptions options)
    {
        _options = options;
        _size = (options.Size + SectorSize - 1) & -SectorSize;
        _geometry = CreateValidation.Geometry(options);
        _l1Entries = _geometry.L1EntriesFor(_size);
        _zoneTable = ZonedCreation.BuildTable(options, _size);
        _luksBytes = options.Encryption is { } luks ? LuksFormat.HeaderBytes(luks) : 0;
    }

    /// <summary>What to write where; the header comes last, so that a file cut short is no image.</summary>
    public IReadOnlyList<(long Offset, byte[] Bytes)> Regions => _regions;

    /// <summary>Bytes of the disk.</summary>
    public long DiskSize => _size;

    /// <summary>Where the LUKS header goes, which is not among the regions: it takes the time that trying a passphrase takes.</summary>
    public EncryptionHeader LuksHeader
        => new(EncryptionHeader.Build(L1Offset + _geometry.BytesIn(L1Clusters), _luksBytes), _geometry.ClusterSize);

    private long L1Clusters => _geometry.ClustersFor(_l1Entries * 8);

    /// <summary>Clusters of tables that are not for reference counts, and of the LUKS header.</summary>
    private long OtherClusters
        => _geometry.ClustersFor(_zoneTable.Length) + L1Clusters + _geometry.ClustersFor(_luksBytes);

    private long ZoneTableOffset => (1 + _tableClusters + _blocks) << _geometry.ClusterBits;

    private long L1Offset => ZoneTableOffset + (_geometry.ClustersFor(_zoneTable.Length) << _geometry.ClusterBits);

    /// <summary>Checks the options and lays the image out.</summary>
    /// <exception cref="BlockException">An option is out of range, or two do not go together.</exception>
    public static CreatePlan Make(Qcow2CreateOptions options)
    {
        CreateValidation.Check(options);
        var plan = new CreatePlan(options);
        plan.SizeTables();
        plan.AddTables();
        plan.AddHeader();
        return plan;
    }

    private void SizeTables()
    {
        long rest = 1 + OtherClusters;
        while (true)
        {
            long total = rest + _tableClusters + _blocks;
            long blocks = (total + (1L << _geometry.RefcountBlockBits) - 1) >> _geometry.RefcountBlockBits;
            long table = _geometry.ClustersFor(blocks * 8);
            if (blocks == _blocks && table == _tableClusters)
            {
                return;
            }

            (_blocks, _tableClusters) = (Math.Max(blocks, _blocks), Math.Max(table, _tableClusters));
        }
    }

    private void AddTables()
    {
        int bits = _geometry.ClusterBits;
        long used = 1 + _tableClusters + _blocks + OtherClusters;
        var table = new byte[_tableClusters << bits];
        for (int i = 0; i < _blocks; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(i * 8), (1 + _tableClusters + i) << bits);
        }

        var counts = new byte[_blocks << bits];
        for (int i = 0; i < used; i++)
        {
            RefcountCodec.Set(counts, i, _geometry.RefcountOrder, 1);
        }

        _regions.Add((1L << bits, [.. table, .. counts]));
        if (_zoneTable.Length > 0)
        {
            _regions.Add((ZoneTableOffset, _zoneTable));
        }

        if (_l1Entries > 0)
        {
            _regions.Add((L1Offset, new byte[_l1Entries * 8]));
        }
    }

    private void AddHeader()
    {
        var cluster = new byte[_geometry.ClusterSize];
        var backing = ByteText.ToBytes(_options.BackingFile ?? "");
        bool v3 = _options.Version >= 3;
        int start = v3 ? Qcow2Header.SizeV3 : Qcow2Header.SizeV2;
        int end = start + HeaderExtension.WriteAll(Extensions(), cluster.AsSpan(start));
        if (backing.Length > Math.Min(Qcow2Limits.MaxBackingNameBytes, cluster.Length - end))
        {
            throw new BlockException(BlockError.InvalidArgument, "Backing file name too long");
        }

        backing.CopyTo(cluster, end);
        var header = new Qcow2Header
        {
            Version = (uint)_options.Version,
            BackingOffset = backing.Length == 0 ? 0 : (ulong)end,
            BackingLength = (uint)backing.Length,
            ClusterBits = (uint)_geometry.ClusterBits,
            VirtualSize = (ulong)_size,
            L1Entries = (uint)_l1Entries,
            L1Offset = _l1Entries == 0 ? 0 : (ulong)L1Offset,
            RefcountTableOffset = 1UL << _geometry.ClusterBits,
            RefcountTableClusters = (uint)_tableClusters,
            RefcountOrder = (uint)_geometry.RefcountOrder,
            Compatible = _options.LazyRefcounts ? CompatibleFeatures.LazyRefcounts : CompatibleFeatures.None,
            Incompatible = (_options.Compression == Qcow2Compression.Zstd ? IncompatibleFeatures.CompressionType : 0)
                | (_options.ExtendedL2 ? IncompatibleFeatures.ExtendedL2 : 0)
                | (_options.Zoned is null ? 0 : IncompatibleFeatures.Zoned)
                | (_options.DataFile is null ? 0 : IncompatibleFeatures.ExternalDataFile),
            Autoclear = _options.DataFileRaw ? AutoclearFeatures.RawExternalData : AutoclearFeatures.None,
            CompressionType = (byte)_options.Compression,
            EncryptionMethod = _options.Encryption is not null ? Qcow2Header.EncryptionLuks
                : _options.OldAesEncryption ? Qcow2Header.EncryptionAes : 0,
        };
        header.WriteTo(cluster);
        _regions.Add((0, cluster));
    }

    private List<HeaderExtension> Extensions()
    {
        var list = new List<HeaderExtension>();
        if (_options.BackingFormat is not null)
        {
            list.Add(new(HeaderExtension.BackingFormat, ByteText.ToBytes(_options.BackingFormat)));
        }

        if (_options.Encryption is not null)
        {
            list.Add(EncryptionHeader.Build(LuksHeader.Offset, LuksHeader.Length));
        }

        // in the first sector, with the header: a resize changes both at once
        if (_options.Zoned is not null)
        {
            list.Add(new(HeaderExtension.Zoned, ZonedCreation.BuildExtension(_options, _size, ZoneTableOffset)));
        }

        // before those whose length varies: in the first sector too
        if (ZonedCreation.BuildPaddockExtension(_options) is { } paddock)
        {
            list.Add(new(HeaderExtension.Paddock, paddock));
        }

        if (_options.DataFile is not null)
        {
            list.Add(new(HeaderExtension.ExternalDataFile, ByteText.ToBytes(_options.DataFile)));
        }

        if (_options.Version >= 3 && FeatureNameTable.FitsCluster(_geometry.ClusterSize))
        {
            list.Add(new(HeaderExtension.FeatureNames, FeatureNameTable.Build(_options.Zoned is not null)));
        }

        return list;
    }
}
