using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Qcow2;

namespace Paddock.Images.Filters;

/// <summary>A disk whose writes are stored compressed, in whole clusters: a write of a part reads the rest first.</summary>
/// <param name="device">The disk; owned.</param>
/// <param name="image">The same disk's image, which compresses.</param>
/// <param name="cluster">Bytes of a cluster.</param>
internal sealed class CompressDevice(IBlockDevice device, IQcow2Device image, int cluster) : DelegatingDevice(device)
{
    private readonly RangeLock _clusters = new();
    private readonly int _cluster = Math.Max(cluster, 1);

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        while (data.Length > 0)
        {
            int part = (int)Math.Min(data.Length, _cluster - (offset % _cluster));
            await WriteClusterAsync(offset, data[..part], cancellationToken);
            offset += part;
            data = data[part..];
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        long start = (offset + _cluster - 1) / _cluster * _cluster, end = offset + length;
        long stop = end == Length ? end : end / _cluster * _cluster;
        if (stop <= start)
        {
            await WriteAsync(offset, new byte[length], WriteFlags.None, cancellationToken);
        }
        else
        {
            // whole clusters need no data; the ends are clusters that are compressed again
            await WriteAsync(offset, new byte[start - offset], WriteFlags.None, cancellationToken);
            await Inner.WriteZeroesAsync(start, stop - start, flags, cancellationToken);
            await WriteAsync(stop, new byte[end - stop], WriteFlags.None, cancellationToken);
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    private async ValueTask WriteClusterAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        long number = offset / _cluster, start = number * _cluster;
        int length = (int)Math.Min(_cluster, Length - start);
        await _clusters.AcquireAsync(number, number, exclusive: true);
        try
        {
            if (data.Length < length)
            {
                var whole = new byte[length];
                await Inner.ReadAsync(start, whole, cancellationToken);
                data.CopyTo(whole.AsMemory((int)(offset - start)));
                data = whole;
            }

            await image.WriteCompressedAsync(start, data, cancellationToken);
        }
        finally
        {
            _clusters.Release(number, number, exclusive: true);
        }
    }
}
