using Paddock.Block;
using Paddock.Nbd;

namespace Paddock.Tools;

/// <summary>The bytes under an image, at an NBD server. They grow where the server offers it, and are never cut: they are not the image's alone.</summary>
/// <param name="disk">The remote disk; owned.</param>
internal sealed class NbdStorage(NbdDisk disk) : IStorage
{
    /// <summary>The remote disk.</summary>
    public NbdDisk Disk => disk;

    public string Name { get; } = disk.Client.Target.ToString();

    public long Length => disk.Client.Length;

    public bool IsReadOnly => disk.IsReadOnly;

    public int PreferredAlignment => disk.Client.Limits.RequestAlignment;

    // bytes behind the end read as zeroes
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => disk.ReadAsync(offset, buffer, cancellationToken);

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        // the last sector may be shorter at the server than here
        if (offset > disk.Length || data.Length > disk.Length - offset)
        {
            throw new BlockException(BlockError.NoSpace, $"offset {offset}, length {data.Length}: outside the NBD export of {Length} bytes");
        }

        return disk.WriteAsync(offset, data, WriteFlags.None, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
        => offset <= disk.Length && length <= disk.Length - offset
            ? disk.WriteZeroesAsync(offset, length, flags, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Could not resize image: Cannot grow NBD nodes");

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => offset <= disk.Length && length <= disk.Length - offset ? disk.DiscardAsync(offset, length, cancellationToken) : default;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => disk.FlushAsync(cancellationToken);

    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(false);

    public void ThrowIfFlushFailed() => disk.Client.ThrowIfFlushFailed();

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => length <= Length ? default
            : disk.Client.CanResize ? disk.ResizeAsync(length, preallocation, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Cannot grow NBD nodes");

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => disk.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask DisposeAsync() => disk.DisposeAsync();
}
