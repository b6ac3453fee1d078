using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>The refcounts that an image stores: its table, whole, and one block at a time.</summary>
internal sealed class StoredRefcounts
{
    private const ulong OffsetMask = ~0x1ffUL;

    private readonly CheckedImage _image;
    private readonly byte[] _block;
    private HostOffset? _loaded;
    private bool _dirty;

    private StoredRefcounts(CheckedImage image, ulong[] table)
    {
        _image = image;
        Table = table;
        _block = new byte[image.ClusterSize];
    }

    /// <summary>Raw table entries.</summary>
    public ulong[] Table { get; }

    /// <summary>Binary logarithm of the clusters that one block counts.</summary>
    public int BlockBits => _image.ClusterBits + 3 - _image.RefcountOrder;

    public static async ValueTask<StoredRefcounts> ReadAsync(CheckedImage image, CancellationToken cancellationToken)
    {
        var bytes = new byte[(long)image.RefcountTableClusters << image.ClusterBits];
        await image.Storage.ReadAsync(image.RefcountTableOffset.Value, bytes, cancellationToken);
        var table = new ulong[bytes.Length / 8];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        return new StoredRefcounts(image, table);
    }

    /// <summary>The offset of the block that counts <paramref name="cluster"/>; 0: none, all its counts are 0.</summary>
    public HostOffset BlockOffset(HostCluster cluster)
    {
        long index = cluster.Index >> BlockBits;
        return index < Table.Length ? new(unchecked((long)(Table[index] & OffsetMask))) : default;
    }

    /// <summary>The stored refcount; null when its block cannot be where the table says.</summary>
    public async ValueTask<ulong?> GetAsync(HostCluster cluster, CancellationToken cancellationToken)
    {
        var offset = BlockOffset(cluster);
        if (offset.Value == 0)
        {
            return 0;
        }

        if (offset.Value < 0 || !_image.IsAligned(offset))
        {
            return null;
        }

        await LoadAsync(offset, cancellationToken);
        return RefcountBits.Get(_block, _image.RefcountOrder, IndexInBlock(cluster));
    }

    /// <summary>The stored refcount, if it is 0 for want of a block or its block is the one in memory.</summary>
    public bool TryGet(HostCluster cluster, out ulong count)
    {
        var offset = BlockOffset(cluster);
        bool isLoaded = offset == _loaded;
        count = isLoaded ? RefcountBits.Get(_block, _image.RefcountOrder, IndexInBlock(cluster)) : 0;
        return isLoaded || offset.Value == 0;
    }

    /// <summary>Compares refcounts of the block in memory with counted references.</summary>
    /// <param name="from">The first cluster; all clusters compared lie in the block in memory.</param>
    /// <param name="counted">References to the clusters from <paramref name="from"/> on, one byte each.</param>
    /// <returns>
    /// The number of clusters before the first difference, and the number up to the last of them that is in use.
    /// </returns>
    public (int Equal, int Used) CompareLoaded(HostCluster from, ReadOnlySpan<byte> counted)
    {
        int first = IndexInBlock(from), order = _image.RefcountOrder, used = 0;
        var block = _block.AsSpan();
        for (int i = 0; i < counted.Length; i++)
        {
            ulong stored = order == 4
                ? BinaryPrimitives.ReadUInt16BigEndian(block[((first + i) * 2)..])
                : RefcountBits.Get(block, order, first + i);
            if (stored != counted[i])
            {
                return (i, used);
            }

            used = stored != 0 ? i + 1 : used;
        }

        return (counted.Length, used);
    }

    /// <summary>Loads the block of a cluster; false when it has none, or it cannot be where the table says.</summary>
    public async ValueTask<bool> TryLoadAsync(HostCluster cluster, CancellationToken cancellationToken)
    {
        var offset = BlockOffset(cluster);
        if (offset.Value <= 0 || !_image.IsAligned(offset))
        {
            return false;
        }

        await LoadAsync(offset, cancellationToken);
        return true;
    }

    /// <summary>Changes a refcount that has a block; written with <see cref="WriteBackAsync"/> or when another block is loaded.</summary>
    public async ValueTask SetAsync(HostCluster cluster, ulong value, CancellationToken cancellationToken)
    {
        await LoadAsync(BlockOffset(cluster), cancellationToken);
        RefcountBits.Set(_block, _image.RefcountOrder, IndexInBlock(cluster), value);
        _dirty = true;
    }

    public async ValueTask WriteBackAsync(CancellationToken cancellationToken)
    {
        if (_dirty && _loaded is { } offset)
        {
            await _image.Storage.WriteAsync(offset.Value, _block, cancellationToken);
            _dirty = false;
        }
    }

    private int IndexInBlock(HostCluster cluster) => (int)(cluster.Index & ((1L << BlockBits) - 1));

    private async ValueTask LoadAsync(HostOffset offset, CancellationToken cancellationToken)
    {
        if (offset != _loaded)
        {
            await WriteBackAsync(cancellationToken);
            await _image.Storage.ReadAsync(offset.Value, _block, cancellationToken);
            _loaded = offset;
        }
    }
}

/// <summary>Entries of a refcount block, 1 to 64 bits wide; below a byte, the least significant bits come first.</summary>
internal static class RefcountBits
{
    public static ulong Get(ReadOnlySpan<byte> block, int order, int index) => order switch
    {
        6 => BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]),
        5 => BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]),
        4 => BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]),
        _ => (ulong)(block[(index << order) >> 3] >> ((index << order) & 7)) & ((1UL << (1 << order)) - 1),
    };

    public static void Set(Span<byte> block, int order, int index, ulong value)
    {
        switch (order)
        {
            case 6:
                BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value);
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value);
                break;
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value);
                break;
            default:
                int shift = (index << order) & 7;
                int mask = ((1 << (1 << order)) - 1) << shift;
                ref byte at = ref block[(index << order) >> 3];
                at = (byte)((at & ~mask) | ((int)value << shift));
                break;
        }
    }
}
