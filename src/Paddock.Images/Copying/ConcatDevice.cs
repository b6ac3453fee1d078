using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>Disks one behind the other as one source, each with its backing images. Read-only, without zones.</summary>
/// <param name="parts">The disks; not owned.</param>
internal sealed class ConcatDevice(IReadOnlyList<IBlockDevice> parts) : IBlockDevice
{
    /// <inheritdoc/>
    public long Length { get; } = parts.Sum(p => p.Length);

    /// <inheritdoc/>
    public BlockLimits Limits => new(1, parts.Min(p => p.Limits.MaxTransfer), 0);

    /// <inheritdoc/>
    public bool IsReadOnly => true;

    /// <inheritdoc/>
    public IBlockDevice? Backing => null;

    /// <inheritdoc/>
    public IZones? Zones => null;

    /// <inheritdoc/>
    public IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => null;

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            var (part, at) = Find(offset);
            int count = (int)Math.Min(buffer.Length, part.Length - at);
            await part.ReadAsync(at, buffer[..count], cancellationToken);
            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var (part, at) = Find(offset);
        var (kind, run) = await SourceStatus.QueryAsync(
            part, at, Math.Min(length, part.Length - at), topLayerOnly: false, below: null, cancellationToken);
        return new(run, kind == SourceRun.Zero ? BlockStatusFlags.Zero | BlockStatusFlags.Allocated : BlockStatusFlags.Allocated);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default) => throw ReadOnly();

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => default;

    /// <inheritdoc/>
    public void ThrowIfFlushFailed()
    {
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;

    private static BlockException ReadOnly() => new(BlockError.ReadOnly, "concatenated disks are read-only");

    private (IBlockDevice Part, long At) Find(long offset)
    {
        foreach (var part in parts)
        {
            if (offset < part.Length)
            {
                return (part, offset);
            }

            offset -= part.Length;
        }

        throw new ArgumentOutOfRangeException(nameof(offset));
    }
}
