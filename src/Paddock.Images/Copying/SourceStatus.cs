using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>What has to be done for a run of the source's bytes.</summary>
internal enum SourceRun
{
    /// <summary>Stored bytes, to be read.</summary>
    Data,

    /// <summary>The run reads as zeroes.</summary>
    Zero,

    /// <summary>The target's backing image supplies the run.</summary>
    Backing,
}

/// <summary>The block status of a source with its backing images, by the block-device seam alone.</summary>
internal static class SourceStatus
{
    /// <summary>Finds out what a run is, without reading it.</summary>
    /// <param name="source">The source.</param>
    /// <param name="offset">Where the run begins.</param>
    /// <param name="length">Its longest length.</param>
    /// <param name="topLayerOnly">Whether what only a backing image holds counts as <see cref="SourceRun.Backing"/>.</param>
    /// <param name="below">A layer that counts as such a backing image; null: none.</param>
    /// <param name="cancellationToken">Stops the query.</param>
    public static async ValueTask<(SourceRun Kind, long Length)> QueryAsync(
        IBlockDevice source, long offset, long length, bool topLayerOnly, IBlockDevice? below, CancellationToken cancellationToken)
    {
        for (var layer = source; ; layer = layer.Backing)
        {
            if (offset >= layer.Length)
            {
                return (SourceRun.Zero, length);
            }

            var status = await layer.GetStatusAsync(offset, Math.Min(length, layer.Length - offset), cancellationToken);
            length = Math.Min(length, status.Length);
            if ((status.Flags & BlockStatusFlags.Zero) != 0)
            {
                return (SourceRun.Zero, length);
            }

            if ((status.Flags & BlockStatusFlags.Allocated) != 0)
            {
                return (SourceRun.Data, length);
            }

            if (layer.Backing is null)
            {
                return (SourceRun.Zero, length);
            }

            if (topLayerOnly || layer.Backing == below)
            {
                // behind the end of the source's own backing image the source is zero, whatever the target's backing image holds
                return offset < layer.Backing.Length
                    ? (SourceRun.Backing, Math.Min(length, layer.Backing.Length - offset)) : (SourceRun.Zero, length);
            }
        }
    }
}
