using Paddock.Block;

namespace Paddock.Images;

/// <summary>What a whole chain of images says of a run of bytes.</summary>
/// <param name="Length">Bytes in the run.</param>
/// <param name="Flags">The facts, from the layer that decides.</param>
/// <param name="HostOffset">Where the bytes lie in that layer's file.</param>
/// <param name="Depth">How many layers down that layer is.</param>
/// <param name="Layer">The layer.</param>
internal readonly record struct ChainStatus(long Length, BlockStatusFlags Flags, long HostOffset, int Depth, ImageNode Layer)
{
    /// <summary>Whether some layer decides.</summary>
    public bool IsPresent => (Flags & BlockStatusFlags.Allocated) != 0;

    /// <summary>Whether the bytes are known to be zeroes.</summary>
    public bool IsZero => (Flags & BlockStatusFlags.Zero) != 0 || (!IsPresent && !IsForeign);

    // what another context than that of allocation says is not about zeroes
    private bool IsForeign => Layer.Qcow2 is null && Nodes.NbdNode.Driver is var nbd && (Layer.Protocol == nbd || Layer.Driver == nbd);

    /// <summary>Whether bytes are stored.</summary>
    public bool IsData => (Flags & BlockStatusFlags.Data) != 0;

    /// <summary>Asks the chain for the run at an offset.</summary>
    public static ValueTask<ChainStatus> QueryAsync(ImageNode top, long offset, long length) => QueryAsync(top, offset, length, false);

    /// <summary>
    /// The same; behind a shorter backing image's end the zeroes are those of the layer above it, which has them not allocated.
    /// </summary>
    public static ValueTask<ChainStatus> QueryLayersAsync(ImageNode top, long offset, long length) => QueryAsync(top, offset, length, true);

    private static async ValueTask<ChainStatus> QueryAsync(ImageNode top, long offset, long length, bool endsAbove)
    {
        var layer = top;
        for (int depth = 0; ; depth++)
        {
            if (offset >= layer.Device.Length)
            {
                return new ChainStatus(length, BlockStatusFlags.Zero | BlockStatusFlags.Allocated, 0, depth, layer);
            }

            var status = await layer.Device.GetStatusAsync(offset, Math.Min(length, layer.Device.Length - offset));
            length = Math.Min(length, status.Length);
            if ((status.Flags & BlockStatusFlags.Allocated) != 0 || layer.Backing is null)
            {
                return new ChainStatus(length, status.Flags, status.HostOffset, depth, layer);
            }

            long below = layer.Backing.Device.Length - offset;
            if (endsAbove && below <= 0)
            {
                return new ChainStatus(length, BlockStatusFlags.Zero, 0, depth, layer);
            }

            length = below > 0 ? Math.Min(length, below) : length;
            layer = layer.Backing;
        }
    }

    /// <summary>Whether two runs tell the same, the second being just after the first.</summary>
    public bool Continues(ChainStatus next)
        => ((Flags ^ next.Flags) & ~BlockStatusFlags.EndOfDevice) == 0 && Depth == next.Depth
            && ((Flags & BlockStatusFlags.OffsetValid) == 0 || next.HostOffset == HostOffset + Length);
}
