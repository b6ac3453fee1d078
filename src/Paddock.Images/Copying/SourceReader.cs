using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>Reads the source; on request, what cannot be read becomes zeroes.</summary>
internal sealed class SourceReader(
    IBlockDevice source, Action<long, BlockException>? unreadable, Action<long, BlockException>? unmapped, IBlockDevice? below)
{
    private const int Sector = 512;

    public ValueTask<(SourceRun Kind, long Length)> StatusAsync(
        long offset, long length, bool topLayerOnly, CancellationToken cancellationToken)
        => unreadable is null
            ? SourceStatus.QueryAsync(source, offset, length, topLayerOnly, below, cancellationToken)
            : SalvageStatusAsync(offset, length, topLayerOnly, cancellationToken);

    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            await source.ReadAsync(offset, buffer, cancellationToken);
        }
        catch (BlockException e)
        {
            if (unreadable is null)
            {
                throw new CopyException(isRead: true, offset, e);
            }

            await SalvageAsync(offset, buffer, e, cancellationToken);
        }
    }

    private async ValueTask<(SourceRun Kind, long Length)> SalvageStatusAsync(
        long offset, long length, bool topLayerOnly, CancellationToken cancellationToken)
    {
        // shorter ranges, down to a sector, which is read without its status
        while (true)
        {
            try
            {
                return await SourceStatus.QueryAsync(source, offset, length, topLayerOnly, below, cancellationToken);
            }
            catch (BlockException e)
            {
                if (length <= Sector)
                {
                    unmapped?.Invoke(offset, e);
                    return (SourceRun.Data, length);
                }

                length = ((length / Sector) + 3) / 4 * Sector;
            }
        }
    }

    // halves, down to single sectors: only what really cannot be read is lost
    private async ValueTask SalvageAsync(long offset, Memory<byte> buffer, BlockException failure, CancellationToken cancellationToken)
    {
        if (buffer.Length <= Sector)
        {
            buffer.Span.Clear();
            unreadable!(offset, failure);
            return;
        }

        int half = ((buffer.Length / 2) + Sector - 1) & -Sector;
        for (int at = 0; at < buffer.Length; at += half)
        {
            var part = buffer.Slice(at, Math.Min(half, buffer.Length - at));
            try
            {
                await source.ReadAsync(offset + at, part, cancellationToken);
            }
            catch (BlockException e)
            {
                await SalvageAsync(offset + at, part, e, cancellationToken);
            }
        }
    }
}
