using Paddock.Block;
using Paddock.Nbd;

namespace Paddock.Images.Nodes;

/// <summary>
/// The bytes under an image, at an NBD server. They grow where the server offers it, and are never cut: they are not the image's alone.
/// </summary>
/// <param name="disk">The remote disk; owned.</param>
internal sealed class NbdStorage(NbdDisk disk) : DeviceStorage(disk, disk.Client.Target.ToString())
{
    /// <summary>The remote disk.</summary>
    public NbdDisk Disk => disk;

    // not rounded up to whole sectors; bytes behind the end read as zeroes
    public override long Length => disk.Client.Length;

    public override int PreferredAlignment => disk.Client.Limits.RequestAlignment;

    // the last sector may be shorter at the server than here
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => IsInside(offset, data.Length)
            ? base.WriteAsync(offset, data, cancellationToken)
            : throw new BlockException(
                BlockError.NoSpace, $"offset {offset}, length {data.Length}: outside the NBD export of {Length} bytes");

    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => IsInside(offset, length)
            ? base.WriteZeroesAsync(offset, length, flags, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Could not resize image: Cannot grow NBD nodes");

    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => IsInside(offset, length) ? base.DiscardAsync(offset, length, cancellationToken) : default;

    public override ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => length <= Length ? default
            : disk.Client.CanResize ? disk.ResizeAsync(length, preallocation, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Cannot grow NBD nodes");

    private bool IsInside(long offset, long length) => offset <= disk.Length && length <= disk.Length - offset;
}
