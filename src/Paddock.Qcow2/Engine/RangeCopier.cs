using System.Buffers;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Copies a range of the disk to another: whole clusters by sharing them, the rest, and what cannot be shared, by reading and writing.
/// </summary>
internal sealed class RangeCopier(
    ImageHeader header, WriteSession session, Allocator allocator, DataLayer data, ClusterReader reader, ClusterWriter writer,
    ClusterSharing sharing, ImageFlush flush, BlocksHeader blocks, UnreadableRanges unreadable, bool hasGuestCipher)
{
    private const int BufferBytes = 1 << 20;

    /// <summary>Clusters waiting to be freed that make a copy flush first.</summary>
    private const long MaxPendingFrees = 65536;

    private readonly ClusterGeometry _geometry = header.Geometry;

    // version 2 has no mark for a change that a crash interrupts, an external file one place for each guest cluster, and the old AES
    // encryption another ciphertext for each
    private bool CanShare => header.HasVersion3 && !data.IsExternal && !hasGuestCipher && blocks.IsKnown;

    /// <summary>Copies a range; overlapping ranges are copied as if all had been read first.</summary>
    public async ValueTask CopyAsync(GuestOffset source, GuestOffset target, long length, CancellationToken cancellationToken)
    {
        session.EnsureWritable(target, length);
        if (source.Value < 0 || length > header.VirtualSize - source.Value)
        {
            throw new BlockException(
                BlockError.OutOfRange,
                $"copy from {source.Value}, length {length}: outside the disk of {header.VirtualSize} bytes");
        }

        if (length == 0 || source == target)
        {
            return;
        }

        unreadable.ThrowIfIn(source, length);
        await session.StartChangeAsync();
        bool overlaps = Math.Abs(source - target) < length;
        if (!CanShare || overlaps || _geometry.InCluster(source) != _geometry.InCluster(target))
        {
            await MoveAsync(source, target, length, cancellationToken);
            return;
        }

        long head = Math.Min(length, _geometry.AlignUp(target) - target);
        long whole = (length - head) & -(long)_geometry.ClusterSize;
        await MoveAsync(source, target, head, cancellationToken);
        await ShareAsync(source + head, target + head, whole, cancellationToken);
        long tail = head + whole;
        await MoveAsync(source + tail, target + tail, length - tail, cancellationToken);
    }

    private async ValueTask ShareAsync(GuestOffset source, GuestOffset target, long length, CancellationToken cancellationToken)
    {
        for (long done = 0; done < length;)
        {
            if (allocator.PendingFreeClusters > MaxPendingFrees)
            {
                await flush.RunAsync();
            }

            int count = (int)Math.Min(ClusterSharing.MaxClusters, (length - done) >> _geometry.ClusterBits);
            GuestOffset from = source + done, to = target + done;
            IReadOnlyList<int> left;
            try
            {
                left = await sharing.RunAsync(from, to, count);
            }
            catch (BlockException e) when (e.Error == BlockError.NoSpace && !blocks.Extension.SharesClusters)
            {
                // the first cluster has no room for the header extension
                await MoveAsync(from, to, _geometry.BytesIn(count), cancellationToken);
                left = [];
            }
            finally
            {
                session.Record(to, _geometry.BytesIn(count));
            }

            foreach (int cluster in left)
            {
                long at = _geometry.BytesIn(cluster);
                await MoveAsync(from + at, to + at, _geometry.ClusterSize, cancellationToken);
            }

            session.MakeReadable(to, _geometry.BytesIn(count));

            done += _geometry.BytesIn(count);
        }
    }

    private async ValueTask MoveAsync(GuestOffset source, GuestOffset target, long length, CancellationToken cancellationToken)
    {
        if (length == 0)
        {
            return;
        }

        // each piece is read before it is written; a target further on is written from its end
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, BufferBytes));
        try
        {
            for (long done = 0; done < length;)
            {
                int count = (int)Math.Min(length - done, BufferBytes);
                long at = target > source ? length - done - count : done;
                await reader.ReadAsync(source + at, buffer.AsMemory(0, count), cancellationToken);
                await writer.WriteAsync(target + at, buffer.AsMemory(0, count), WriteFlags.None, cancellationToken);
                done += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
