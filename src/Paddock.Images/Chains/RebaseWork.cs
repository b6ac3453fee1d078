using System.Buffers;
using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Images.Chains;

/// <summary>
/// Writes into an overlay what it would lose with another backing image: whatever it does not hold itself and the two backing images
/// have different. The disk reads the same before, after, and if it stops halfway.
/// </summary>
/// <param name="overlay">The overlay, open for writing.</param>
/// <param name="old">Its backing image; null without one.</param>
/// <param name="next">The backing image that it is to have; null: none.</param>
/// <param name="compress">Whether clusters are written compressed.</param>
internal sealed class RebaseWork(ImageNode overlay, ImageNode? old, ImageNode? next, bool compress)
{
    private const int Parallel = 8;
    private const int Chunk = 1 << 20;

    private readonly long _length = overlay.Device.Length;
    private readonly IBlockDevice _writable = ZoneChain.BelowZones(overlay);
    private readonly BackingPair _backings = new(old, next);
    private readonly int _unit = UnitOf(overlay, compress);
    private long _next;

    /// <summary>Compares and writes.</summary>
    /// <param name="progress">Receives the bytes done and the length of the disk; null: nobody asks.</param>
    /// <param name="cancellationToken">Stops it; the overlay reads as before.</param>
    /// <exception cref="ToolException">A request failed.</exception>
    public ValueTask RunAsync(Action<long, long>? progress, CancellationToken cancellationToken = default)
        => OrderedPieces.RunAsync(Parallel, NextAsync, piece => CompareAsync(piece, progress), cancellationToken);

    // units are written whole, so that no write needs the rest of a cluster from the old backing image
    private static int UnitOf(ImageNode overlay, bool compress)
    {
        const int subclusters = 32;
        int unit = overlay.Qcow2 is not { Info: var info } ? 1
            : info.ExtendedL2 && !compress ? info.ClusterSize / subclusters : info.ClusterSize;
        return Math.Max(unit, overlay.Device.Limits.RequestAlignment);
    }

    private async ValueTask<OrderedPieces.Piece?> NextAsync(CancellationToken stop)
    {
        while (_next < _length)
        {
            stop.ThrowIfCancellationRequested();
            try
            {
                var status = await overlay.Device.GetStatusAsync(_next, _length - _next, stop);
                if ((status.Flags & BlockStatusFlags.Allocated) != 0)
                {
                    _next += status.Length;
                    continue;
                }

                // the overlay has not allocated whole clusters or subclusters: where the run ends, a unit ends
                long end = _next + status.Length;
                if (await DifferentAsync(end) is { } piece)
                {
                    return piece;
                }
            }
            catch (BlockException e)
            {
                throw new ToolException($"error while reading image metadata: {ErrorText.Of(e)}", inner: e);
            }
        }

        return null;
    }

    /// <summary>The first units before an offset that may differ.</summary>
    private async ValueTask<OrderedPieces.Piece?> DifferentAsync(long end)
    {
        long start = -1;
        while (_next < end && (start < 0 || _next - start < Chunk))
        {
            var (isSame, length) = await _backings.QueryAsync(_next, end - _next);
            long whole = isSame && _next + length < end ? length / _unit * _unit : length;
            if (isSame && whole > 0)
            {
                if (start >= 0)
                {
                    break;
                }

                _next += whole;
                continue;
            }

            start = start < 0 ? _next : start;
            long most = Math.Max(_unit, Chunk / _unit * _unit);
            _next = Math.Min(end, Math.Min(_next + ((Math.Max(length, 1) + _unit - 1) / _unit * _unit), start + most));
        }

        return start < 0 ? null : new OrderedPieces.Piece(start, (int)(_next - start));
    }

    private async ValueTask CompareAsync(OrderedPieces.Turn turn, Action<long, long>? progress)
    {
        var (offset, length) = turn.Piece;
        byte[] left = ArrayPool<byte>.Shared.Rent(length), right = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            await ReadAsync(old, offset, left.AsMemory(0, length), "error while reading from old backing file");
            await ReadAsync(next, offset, right.AsMemory(0, length), "error while reading from new backing file");
            await turn.WaitAsync();
            for (int done = 0; done < length;)
            {
                bool differs = RunOf(left.AsSpan(0, length), right.AsSpan(0, length), done, out int run);
                if (differs)
                {
                    await WriteAsync(offset + done, left.AsMemory(done, run));
                }

                done += run;
            }

            progress?.Invoke(offset + length, _length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(left);
            ArrayPool<byte>.Shared.Return(right);
        }
    }

    private static async ValueTask ReadAsync(ImageNode? image, long offset, Memory<byte> buffer, string failure)
    {
        int there = image is null ? 0 : (int)Math.Clamp(image.Device.Length - offset, 0, buffer.Length);
        buffer.Span[there..].Clear();
        try
        {
            if (there > 0)
            {
                await image!.Device.ReadAsync(offset, buffer[..there]);
            }
        }
        catch (BlockException e)
        {
            throw new ToolException(failure, inner: e);
        }
    }

    /// <summary>The run of units that all differ, or do not.</summary>
    private bool RunOf(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, int start, out int length)
    {
        bool? differs = null;
        int at = start;
        while (at < left.Length)
        {
            int count = Math.Min(_unit, left.Length - at);
            bool unitDiffers = !left.Slice(at, count).SequenceEqual(right.Slice(at, count));
            if (differs is { } before && before != unitDiffers)
            {
                break;
            }

            differs = unitDiffers;
            at += count;
        }

        length = at - start;
        return differs == true;
    }

    private async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data)
    {
        // behind the end of the old backing image there is nothing to store
        long behind = Math.Max(0, ((old?.Device.Length ?? 0) + _unit - 1) / _unit * _unit);
        int stored = (int)Math.Clamp(behind - offset, 0, data.Length);
        try
        {
            if (stored > 0 && compress)
            {
                await overlay.Qcow2!.WriteCompressedAsync(offset, data[..stored]);
            }
            else if (stored > 0)
            {
                await _writable.WriteAsync(offset, data[..stored]);
            }

            if (stored < data.Length)
            {
                await _writable.WriteZeroesAsync(offset + stored, data.Length - stored);
            }
        }
        catch (BlockException e)
        {
            throw new ToolException($"Error while writing to COW image: {ErrorText.Of(e)}", inner: e);
        }
    }
}
