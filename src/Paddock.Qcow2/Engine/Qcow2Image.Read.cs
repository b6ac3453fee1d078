using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// reads and block status
public sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.Length == 0)
        {
            return;
        }

        long first = offset >> _geometry.ClusterBits;
        long last = (offset + buffer.Length - 1) >> _geometry.ClusterBits;
        await _ranges.AcquireAsync(first, last, exclusive: false);
        try
        {
            while (buffer.Length > 0)
            {
                var map = await MapAsync(offset, buffer.Length);
                int count = (int)map.Length;
                await ReadMappedAsync(map, offset, buffer[..count], cancellationToken);
                offset += count;
                buffer = buffer[count..];
            }
        }
        finally
        {
            _ranges.Release(first, last, exclusive: false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        length = Math.Min(length, Length - offset);
        if (length <= 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        var map = await MapAsync(offset, length);
        long run = map.Length;

        // runs end at slices; go on while the next says the same, so that callers see long runs
        while (run < length)
        {
            var next = await MapAsync(offset + run, length - run);
            bool same = next.Kind == map.Kind && next.Kind != ClusterKind.Compressed
                && (map.Host == 0 || next.Host == map.Host + run);
            if (!same)
            {
                break;
            }

            run += next.Length;
        }

        var hole = BlockStatusFlags.None;
        if (map.Kind == ClusterKind.Normal && await _sparse.IsSparseAsync(_header, cancellationToken))
        {
            // what the file has not stored reads as zeroes, although the cluster is allocated
            var below = await _storage.GetStatusAsync(map.Host, run, cancellationToken);
            run = below.Length > 0 ? Math.Min(run, below.Length) : run;
            hole = below.Flags & BlockStatusFlags.Zero;
        }

        var end = offset + run == Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return map.Kind switch
        {
            ClusterKind.Normal => new(run, end | hole | BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, map.Host),
            ClusterKind.Compressed => new(run, end | BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.Compressed),
            ClusterKind.ZeroAllocated => new(run, end | BlockStatusFlags.Zero | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, map.Host),
            ClusterKind.ZeroPlain => new(run, end | BlockStatusFlags.Zero | BlockStatusFlags.Allocated),
            _ => new(run, end | (Backing is null ? BlockStatusFlags.Zero : BlockStatusFlags.None)),
        };
    }

    /// <summary>Reads what a mapping says; <paramref name="offset"/> is the guest's, and may lie before or behind the mapped run's start.</summary>
    private ValueTask ReadMappedAsync(in Mapping map, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        switch (map.Kind)
        {
            case ClusterKind.Normal:
                return ReadDataAsync(map.Host, buffer, cancellationToken);
            case ClusterKind.Compressed:
                return ReadCompressedAsync(map.Entry, offset, buffer, cancellationToken);
            case ClusterKind.Unallocated when Backing is not null:
                return ReadBackingAsync(offset, buffer, cancellationToken);
            default:
                buffer.Span.Clear();
                return ValueTask.CompletedTask;
        }
    }

    private ValueTask ReadDataAsync(long host, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var told = _storage.OnEventAsync("read_aio");
        return told.IsCompletedSuccessfully
            ? _storage.ReadAsync(host, buffer, cancellationToken)
            : ReadDataAsync(told, host, buffer, cancellationToken);
    }

    private async ValueTask ReadDataAsync(ValueTask told, long host, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await told;
        await _storage.ReadAsync(host, buffer, cancellationToken);
    }

    private async ValueTask ReadBackingAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int inside = (int)Math.Clamp(Backing!.Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        if (inside > 0)
        {
            await _storage.OnEventAsync("read_backing_aio");
            await Backing.ReadAsync(offset, buffer[..inside], cancellationToken);
        }
    }
}
