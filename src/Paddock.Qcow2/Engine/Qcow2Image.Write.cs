using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// writes: in place where the clusters are ours alone, else into new clusters with the rest copied
public sealed partial class Qcow2Image
{
    /// <summary>A new cluster's head, data and tail go out as one request up to this many bytes.</summary>
    private const int MergeBytes = 256 << 10;

    /// <summary>Clusters waiting to be freed that make a write flush first, so that they can be used again.</summary>
    private const long MaxPendingFrees = 16384;

    /// <inheritdoc/>
    public async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        if (!Volatile.Read(ref _writing))
        {
            await StartWritingAsync();
        }

        if (data.Length > 0)
        {
            int done = await WriteInPlaceAsync(offset, data, cancellationToken);
            if (done < data.Length)
            {
                await WriteAllocatingAsync(offset + done, data[done..], cancellationToken);
            }
        }

        if ((flags & WriteFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <summary>Writes as far as the clusters can be overwritten.</summary>
    /// <returns>Bytes written.</returns>
    private async ValueTask<int> WriteInPlaceAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        long first = offset >> _geometry.ClusterBits;
        long last = (offset + data.Length - 1) >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(first, last, exclusive: false);
        try
        {
            int done = 0;
            while (done < data.Length)
            {
                var map = await MapAsync(offset + done, data.Length - done);
                if (!map.Writable)
                {
                    break;
                }

                await WriteDataAsync(map.Host, data.Slice(done, (int)map.Length), cancellationToken);
                done += (int)map.Length;
            }

            return done;
        }
        finally
        {
            _ranges.Release(first, last, exclusive: false);
        }
    }

    private async ValueTask WriteAllocatingAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (_refcounts.PendingFreeClusters > MaxPendingFrees)
        {
            await FlushAsync(cancellationToken);
        }

        long first = offset >> _geometry.ClusterBits;
        long last = (offset + data.Length - 1) >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(first, last, exclusive: true);
        try
        {
            while (data.Length > 0)
            {
                var map = await MapAsync(offset, data.Length);
                int count = (int)map.Length;
                if (map.Writable)
                {
                    await WriteDataAsync(map.Host, data[..count], cancellationToken);
                }
                else
                {
                    // one L2 slice at a time: a table's end is a slice's end
                    count = (int)Math.Min(count, SliceEnd(offset) - offset);
                    count = await WriteNewClustersAsync(map, offset, data[..count], cancellationToken);
                }

                offset += count;
                data = data[count..];
            }
        }
        finally
        {
            _ranges.Release(first, last, exclusive: true);
        }
    }

    private long SliceEnd(long offset)
    {
        int shift = _geometry.ClusterBits + System.Numerics.BitOperations.Log2((uint)_l2.SliceBytes) - 3;
        return ((offset >> shift) + 1) << shift;
    }

    /// <returns>Bytes written: all, or what fits the clusters that could be had side by side.</returns>
    private async ValueTask<int> WriteNewClustersAsync(
        Mapping map, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        long start = _geometry.AlignDown(offset);
        long count = _geometry.ClustersFor(offset + data.Length - start);
        bool reuse = map.Kind == ClusterKind.ZeroAllocated && map.Entry.IsCopied;
        var space = reuse
            ? new ClusterRun(map.Entry.Offset.Value >> _geometry.ClusterBits, count, KnownZero: false)
            : await AllocateForAsync(start, count);
        if (space.Count < count)
        {
            data = data[..(int)(start + (space.Count << _geometry.ClusterBits) - offset)];
        }

        long host = space.First << _geometry.ClusterBits;
        try
        {
            await WriteWithRestAsync(map, offset, data, host, space.KnownZero, cancellationToken);
            await LinkAsync(start, space.Count, host);
            return data.Length;
        }
        catch when (!reuse)
        {
            await GiveBackAsync(space.First, space.Count);
            throw;
        }
    }

    private async ValueTask<ClusterRun> AllocateForAsync(long start, long count)
    {
        await _meta.AcquireAsync();
        try
        {
            await EnsureL2TableAsync(start);
            await _storage.OnEventAsync("cluster_alloc");
            return await _refcounts.AllocateUpToAsync(count);
        }
        finally
        {
            _meta.Release();
        }
    }

    private async ValueTask GiveBackAsync(long cluster, long count)
    {
        await _meta.AcquireAsync();
        try
        {
            await _refcounts.FreeNowAsync(cluster, count);
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Points the guest clusters from <paramref name="start"/> on at adjoining host clusters, and queues what was there to be freed.</summary>
    /// <param name="start">First guest byte.</param>
    /// <param name="count">How many clusters.</param>
    /// <param name="host">First host byte.</param>
    /// <param name="flags">Bits that each entry has beside its offset.</param>
    private async ValueTask LinkAsync(long start, long count, long host, ulong flags = 0)
    {
        await _meta.AcquireAsync();
        try
        {
            long table = await EnsureL2TableAsync(start);
            for (long i = 0; i < count; i++)
            {
                long at = i << _geometry.ClusterBits;
                var old = await SetEntryAsync(table, start + at, new L2Entry(L2Entry.Normal(new HostOffset(host + at)).Raw | flags));
                if (old.IsCompressed || old.Offset.Value != host + at)
                {
                    Release(old);
                }
            }
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Writes data into new clusters at <paramref name="host"/>, and before and behind it what the guest had there.</summary>
    private async ValueTask WriteWithRestAsync(
        Mapping map, long offset, ReadOnlyMemory<byte> data, long host, bool knownZero, CancellationToken cancellationToken)
    {
        int head = _geometry.InCluster(offset);
        int tail = (int)((_geometry.ClustersFor(offset + data.Length) << _geometry.ClusterBits) - offset - data.Length);
        bool zeroes = map.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated || (map.Kind == ClusterKind.Unallocated && Backing is null);
        if ((head | tail) == 0 || (zeroes && knownZero))
        {
            await WriteDataAsync(host + head, data, cancellationToken);
            return;
        }

        int total = head + data.Length + tail;
        if (total > MergeBytes)
        {
            await FillAsync(map, offset - head, offset, host, head, zeroes, cancellationToken);
            await WriteDataAsync(host + head, data, cancellationToken);
            await FillAsync(map, offset + data.Length, offset, host + head + data.Length, tail, zeroes, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(total);
        try
        {
            await ReadRestAsync(map, offset - head, offset, buffer.AsMemory(0, head), zeroes, cancellationToken);
            data.CopyTo(buffer.AsMemory(head));
            await ReadRestAsync(map, offset + data.Length, offset, buffer.AsMemory(head + data.Length, tail), zeroes, cancellationToken);
            await _storage.OnEventAsync("cow_write");
            await WriteDataAsync(host, buffer.AsMemory(0, total), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask FillAsync(
        Mapping map, long guest, long mappedAt, long host, int length, bool zeroes, CancellationToken cancellationToken)
    {
        if (length == 0)
        {
            return;
        }

        if (zeroes)
        {
            await _storage.WriteZeroesAsync(host, length, ZeroFlags.None, cancellationToken);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            await ReadRestAsync(map, guest, mappedAt, buffer.AsMemory(0, length), zeroes: false, cancellationToken);
            await _storage.OnEventAsync("cow_write");
            await WriteDataAsync(host, buffer.AsMemory(0, length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>What the guest has at <paramref name="guest"/>, in a cluster of the mapping made for <paramref name="mappedAt"/>.</summary>
    private async ValueTask ReadRestAsync(
        Mapping map, long guest, long mappedAt, Memory<byte> buffer, bool zeroes, CancellationToken cancellationToken)
    {
        if (buffer.Length == 0)
        {
            return;
        }

        if (zeroes)
        {
            buffer.Span.Clear();
            return;
        }

        await _storage.OnEventAsync("cow_read");
        await ReadMappedAsync(map with { Host = map.Host + guest - mappedAt }, guest, buffer, cancellationToken);
    }

    private async ValueTask WriteDataAsync(long host, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await CheckOverlapAsync(host, data.Length);
        await _storage.OnEventAsync("write_aio");
        await _storage.WriteAsync(host, data, cancellationToken);
    }
}
