using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Reads L1 tables, and L2 tables one at a time.</summary>
internal sealed class CheckedTables(CheckedImage image)
{
    /// <summary>Bytes of L1 tables that one check reads: 1024 snapshots of 512 GiB at 64 KiB clusters take 64 MiB.</summary>
    private const long MaxL1BytesRead = 4L << 30;

    private readonly byte[] _l2 = new byte[image.ClusterSize];
    private long _l1BytesRead;

    /// <summary>The bytes of the L2 table loaded last.</summary>
    public Memory<byte> L2 => _l2;

    /// <summary>Entries of an L1 table as stored.</summary>
    public static ulong Entry(byte[] l1, long index) => BinaryPrimitives.ReadUInt64BigEndian(l1.AsSpan((int)index * 8));

    /// <summary>Starts the limit on L1 tables again, for another count of everything.</summary>
    public void ResetLimit() => _l1BytesRead = 0;

    /// <summary>An L1 table; zeroes where it lies outside the file.</summary>
    public async ValueTask<byte[]> ReadL1Async(HostOffset offset, uint entries, CancellationToken cancellationToken)
    {
        var table = new byte[entries * 8L];
        _l1BytesRead += table.Length;
        if (_l1BytesRead > MaxL1BytesRead)
        {
            throw new BlockException(BlockError.TooLarge, $"the L1 tables of all snapshots take more than {MaxL1BytesRead >> 30} GiB");
        }

        if (offset.Value >= 0 && offset.Value < image.Storage.Length)
        {
            await image.Storage.ReadAsync(offset.Value, table, cancellationToken);
        }

        return table;
    }

    /// <summary>Loads an L2 table; false where it is a hole or lies outside the file, so that it maps nothing.</summary>
    public async ValueTask<bool> LoadL2Async(HostOffset offset, CancellationToken cancellationToken)
    {
        if (offset.Value >= image.Storage.Length)
        {
            return false;
        }

        long bytes = Math.Min(image.ClusterSize, image.Storage.Length - offset.Value);
        var status = await image.Storage.GetStatusAsync(offset.Value, bytes, cancellationToken);
        if ((status.Flags & BlockStatusFlags.Zero) != 0 && status.Length >= bytes)
        {
            return false;
        }

        await image.Storage.ReadAsync(offset.Value, _l2, cancellationToken);
        return true;
    }

    /// <summary>An entry of the loaded L2 table.</summary>
    public ulong L2Entry(int index) => BinaryPrimitives.ReadUInt64BigEndian(_l2.AsSpan(index * image.L2EntrySize));

    /// <summary>The subcluster bitmap of an extended entry; 0 in an image without them.</summary>
    public ulong Subclusters(int index)
        => image.HasExtendedL2 ? BinaryPrimitives.ReadUInt64BigEndian(_l2.AsSpan((index * 16) + 8)) : 0;

    /// <summary>The part of the file that an entry refers to; offset 0: none.</summary>
    public (HostOffset Offset, long Bytes) Target(ulong entry)
    {
        if ((entry & EntryBits.Compressed) == 0)
        {
            return (EntryBits.OffsetOf(entry), image.ClusterSize);
        }

        int sectorShift = 62 - (image.ClusterBits - 8);
        long offset = (long)(entry & ((1UL << sectorShift) - 1)) & ((1L << 56) - 1);
        long sectors = (long)((entry & (EntryBits.Compressed - 1)) >> sectorShift) + 1;
        return (new HostOffset(offset & ~511L), sectors * 512);
    }
}
