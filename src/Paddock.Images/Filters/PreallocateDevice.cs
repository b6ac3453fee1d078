using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Images.Filters;

/// <summary>
/// A disk whose storage grows in large steps with its space allocated, so that many small growths cost one. The surplus is cut off on
/// close; after a crash it stays, as zeroes behind the end.
/// </summary>
/// <param name="device">The disk; owned.</param>
/// <param name="align">Unit of the storage's size in bytes.</param>
/// <param name="size">Bytes that are allocated in advance.</param>
internal sealed class PreallocateDevice(IBlockDevice device, long align, long size) : DelegatingDevice(device)
{
    private readonly AsyncMutex _resizing = new();
    private long _end = device.Length;

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override long Length => Volatile.Read(ref _end);

    /// <inheritdoc/>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        await _resizing.AcquireAsync();
        try
        {
            if (length < _end || preallocation != Preallocation.Off)
            {
                await Inner.ResizeAsync(length, preallocation, cancellationToken);
            }
            else if (length > Inner.Length)
            {
                await GrowAsync(length, cancellationToken);
            }

            Volatile.Write(ref _end, length);
        }
        finally
        {
            _resizing.Release();
        }
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        try
        {
            if (!IsReadOnly && Inner.Length > _end)
            {
                await Inner.ResizeAsync(_end);
            }
        }
        finally
        {
            await base.DisposeAsync();
        }
    }

    private async ValueTask GrowAsync(long length, CancellationToken cancellationToken)
    {
        long wanted = length > long.MaxValue - size - align ? length : (length + size + align - 1) / align * align;
        try
        {
            await Inner.ResizeAsync(wanted, Preallocation.Falloc, cancellationToken);
        }
        catch (BlockException e) when (e.Error is BlockError.NotSupported or BlockError.NoSpace or BlockError.TooLarge)
        {
            // space in advance is a help only
            await Inner.ResizeAsync(length, Preallocation.Off, cancellationToken);
        }
    }
}
