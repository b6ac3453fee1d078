using Paddock.Block;

namespace Paddock.Images.Filters;

/// <summary>A disk whose discarded clusters stay allocated and read as zeroes (qcow2's <c>discard-no-unref</c>).</summary>
/// <param name="device">The disk; owned.</param>
internal sealed class KeptClustersDevice(IBlockDevice device) : DelegatingDevice(device)
{
    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Inner.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.MayUnmap, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Inner.Zones is null ? Inner.WriteZeroesAsync(offset, length, ZeroFlags.None, cancellationToken)
            : Inner.DiscardAsync(offset, length, cancellationToken);
}
