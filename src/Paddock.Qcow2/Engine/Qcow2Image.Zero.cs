using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// write-zeroes and discard: whole clusters by their L2 entries, the rest by writing
public sealed partial class Qcow2Image
{
    private const int ZeroBufferBytes = 64 << 10;

    private static readonly byte[] Zeroes = new byte[ZeroBufferBytes];

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        await StartWritingAsync();
        long end = offset + length;
        long firstWhole = _geometry.ClustersFor(offset) << _geometry.ClusterBits;
        long lastWhole = end == Length ? _geometry.ClustersFor(end) << _geometry.ClusterBits : _geometry.AlignDown(end);
        if (_header.Version < 3 && Backing is not null)
        {
            await ZeroByWritingAsync(offset, length, flags, cancellationToken);
        }
        else if (firstWhole >= lastWhole)
        {
            await ZeroPartAsync(offset, length, flags, cancellationToken);
        }
        else
        {
            await ZeroPartAsync(offset, firstWhole - offset, flags, cancellationToken);
            await SetWholeClustersAsync(firstWhole, lastWhole, (flags & ZeroFlags.MayUnmap) != 0 ? Deallocation.ZeroUnmap : Deallocation.ZeroKeep);
            await ZeroPartAsync(lastWhole, end - lastWhole, flags, cancellationToken);
        }

        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        EnsureWritable();
        if (_header.Version < 3 && Backing is not null)
        {
            throw new BlockException(BlockError.NotSupported, "a version 2 image with a backing file cannot discard: it would show through");
        }

        await StartWritingAsync();
        long end = offset + length;
        long first = _geometry.ClustersFor(offset) << _geometry.ClusterBits;
        long last = end == Length ? _geometry.ClustersFor(end) << _geometry.ClusterBits : _geometry.AlignDown(end);
        if (first < last)
        {
            await SetWholeClustersAsync(first, last, Deallocation.Discard);
        }
    }

    private enum Deallocation
    {
        /// <summary>Reads as zeroes; clusters stay reserved.</summary>
        ZeroKeep,

        /// <summary>Reads as zeroes; clusters are given back.</summary>
        ZeroUnmap,

        /// <summary>As <see cref="ZeroUnmap"/>, but what is not allocated stays so when nothing lies behind it.</summary>
        Discard,

        /// <summary>The entry goes: the disk ends before it.</summary>
        Remove,
    }

    private async ValueTask ZeroPartAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (length <= 0)
        {
            return;
        }

        var map = await MapAsync(offset, length);
        bool readsZero = map.Kind is ClusterKind.ZeroPlain or ClusterKind.ZeroAllocated
            || (map.Kind == ClusterKind.Unallocated && (Backing is null || offset >= Backing.Length));
        if (!readsZero || map.Length < length)
        {
            await ZeroByWritingAsync(offset, length, flags, cancellationToken);
        }
    }

    private async ValueTask ZeroByWritingAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.NoFallback) != 0)
        {
            throw new BlockException(BlockError.NotSupported, "part of a cluster can be zeroed only by writing");
        }

        while (length > 0)
        {
            int count = (int)Math.Min(length, ZeroBufferBytes);
            await WriteAsync(offset, Zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
            offset += count;
            length -= count;
        }
    }

    /// <summary>Changes the entries of whole clusters, a table at a time.</summary>
    private async ValueTask SetWholeClustersAsync(long start, long end, Deallocation how)
    {
        while (start < end)
        {
            long tableEnd = Math.Min(end, SliceEnd(start));
            if (L2TableOf(start) == 0 && (how == Deallocation.Remove || Backing is null))
            {
                // nothing there, nothing behind it: on to the next table
                start = Math.Min(end, ((start >> _geometry.L1Shift) + 1) << _geometry.L1Shift);
                continue;
            }

            long first = start >> _geometry.ClusterBits;
            long last = (tableEnd - 1) >> _geometry.ClusterBits;
            await _ranges.AcquireAsync(first, last, exclusive: true);
            await _meta.AcquireAsync();
            try
            {
                long table = await EnsureL2TableAsync(start);
                for (; start < tableEnd; start += _geometry.ClusterSize)
                {
                    await SetOneAsync(table, start, how);
                }
            }
            finally
            {
                _meta.Release();
                _ranges.Release(first, last, exclusive: true);
            }
        }
    }

    private async ValueTask SetOneAsync(long table, long offset, Deallocation how)
    {
        var (slice, index) = SliceOf(table, offset);
        var old = new L2Entry(ReadEntry(await _l2.GetAsync(slice, _makeRoom), index));
        bool keeps = how == Deallocation.ZeroKeep && !old.IsCompressed && old.Offset.Value != 0 && old.IsCopied && _header.Version >= 3;
        L2Entry entry;
        if (keeps)
        {
            entry = new L2Entry(old.Raw | L2Entry.ZeroFlag);
        }
        else if (how == Deallocation.Remove || _header.Version < 3 || (old.Kind == ClusterKind.Unallocated && Backing is null && how == Deallocation.Discard))
        {
            entry = L2Entry.Unallocated;
        }
        else
        {
            entry = L2Entry.Zero;
        }

        if (entry != old)
        {
            _l2.Set64(slice, index, entry.Raw);
            if (!keeps)
            {
                Release(old);
            }
        }
    }
}
