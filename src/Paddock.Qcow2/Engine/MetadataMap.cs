using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>What kind of metadata a host cluster holds.</summary>
internal enum MetadataKind : byte
{
    None,
    Header,
    ActiveL1,
    ActiveL2,
    RefcountTable,
    RefcountBlock,
    SnapshotTable,
    InactiveL1,
    InactiveL2,
    BitmapDirectory,
    ZoneTable,
    EncryptionHeader,
}

/// <summary>
/// Knows which host clusters hold the image's own tables, so that no write of data or of another table lands there (QEMU's overlap
/// checks).
/// </summary>
/// <param name="geometry">The image's.</param>
internal sealed class MetadataMap(ClusterGeometry geometry)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<long, MetadataKind> _clusters = [];
    private readonly Dictionary<MetadataKind, (HostOffset Offset, long Length)> _ranges = [];

    /// <summary>Sets a table that takes a range; the previous range of that kind is forgotten.</summary>
    public void SetRange(MetadataKind kind, HostOffset offset, long length)
    {
        lock (_lock)
        {
            _ranges[kind] = (offset, geometry.ClustersFor(length) << geometry.ClusterBits);
        }
    }

    /// <summary>Sets the kind of one cluster; <see cref="MetadataKind.None"/> forgets it.</summary>
    public void Set(HostCluster cluster, MetadataKind kind)
    {
        lock (_lock)
        {
            if (kind == MetadataKind.None)
            {
                _clusters.Remove(cluster.Index);
            }
            else
            {
                _clusters[cluster.Index] = kind;
            }
        }
    }

    /// <summary>The first metadata that a range touches.</summary>
    public MetadataKind Find(HostOffset offset, long length)
    {
        lock (_lock)
        {
            foreach (var (kind, range) in _ranges)
            {
                if (offset < range.Offset + range.Length && range.Offset < offset + length)
                {
                    return kind;
                }
            }

            long last = geometry.ClusterOf(offset + (length - 1)).Index;
            for (long cluster = geometry.ClusterOf(offset).Index; cluster <= last; cluster++)
            {
                if (_clusters.TryGetValue(cluster, out var kind))
                {
                    return kind;
                }
            }
        }

        return MetadataKind.None;
    }

    /// <summary>The kind's name in messages.</summary>
    public static string Describe(MetadataKind kind) => kind switch
    {
        MetadataKind.Header => "qcow2_header",
        MetadataKind.ActiveL1 => "active L1 table",
        MetadataKind.ActiveL2 => "active L2 table",
        MetadataKind.RefcountTable => "refcount table",
        MetadataKind.RefcountBlock => "refcount block",
        MetadataKind.SnapshotTable => "snapshot table",
        MetadataKind.InactiveL1 => "inactive L1 table",
        MetadataKind.InactiveL2 => "inactive L2 table",
        MetadataKind.BitmapDirectory => "bitmap directory",
        MetadataKind.EncryptionHeader => "encryption header",
        _ => "zone table",
    };
}
