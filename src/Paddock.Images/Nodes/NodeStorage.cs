using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>The disk of a node as the bytes under another node. Writes past the end make the disk longer where it can be resized.</summary>
/// <param name="device">The disk, with bounds checked; owned.</param>
/// <param name="name">Name for messages, and the folder that relative names mean.</param>
/// <param name="allocated">Returns the allocated bytes; -1 if unknown.</param>
internal sealed class NodeStorage(CheckedDevice device, string name, Func<long> allocated) : IStorage
{
    public string Name => name;

    public long Length => device.Length;

    public bool IsReadOnly => device.IsReadOnly;

    public long AllocatedBytes => allocated();

    public int PreferredAlignment => device.Limits.RequestAlignment;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int inside = (int)Math.Clamp(device.Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        return inside == 0 ? default : device.ReadAsync(offset, buffer[..inside], cancellationToken);
    }

    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        await GrowAsync(offset + data.Length, cancellationToken);
        await device.WriteAsync(offset, data, WriteFlags.None, cancellationToken);
    }

    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        await GrowAsync(offset + length, cancellationToken);
        await device.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long inside = Math.Clamp(device.Length - offset, 0, length);
        return inside == 0 ? default : device.DiscardAsync(offset, inside, cancellationToken);
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => device.FlushAsync(cancellationToken);

    public void ThrowIfFlushFailed() => device.ThrowIfFlushFailed();

    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        if (grows)
        {
            await GrowAsync(offset + length, cancellationToken);
        }

        return false;
    }

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => length == device.Length ? default : device.ResizeAsync(length, preallocation, cancellationToken);

    // what the disk and its backing images say together
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        IBlockDevice layer = device;
        while (true)
        {
            if (offset >= layer.Length)
            {
                return new BlockStatus(length, BlockStatusFlags.Zero);
            }

            var status = await layer.GetStatusAsync(offset, Math.Min(length, layer.Length - offset), cancellationToken);
            if ((status.Flags & BlockStatusFlags.Allocated) != 0)
            {
                return layer == device ? status : status with { Flags = status.Flags & ~BlockStatusFlags.OffsetValid };
            }

            length = Math.Min(length, status.Length);
            if (layer.Backing is not { } below)
            {
                return status with { Length = length, Flags = BlockStatusFlags.Zero };
            }

            layer = below;
        }
    }

    // events belong to the driver right below a format, and the disk has none
    public ValueTask OnEventAsync(string eventName) => default;

    public ValueTask DisposeAsync() => device.DisposeAsync();

    private async ValueTask GrowAsync(long end, CancellationToken cancellationToken)
    {
        if (end <= device.Length)
        {
            return;
        }

        try
        {
            await device.ResizeAsync(end, Preallocation.Off, cancellationToken);
        }
        catch (BlockException e) when (e.Error == BlockError.NotSupported)
        {
            // a disk of a fixed size is full where it ends
            throw new BlockException(
                BlockError.NoSpace, $"the disk below has {device.Length} bytes, {end} are needed, and its size is fixed", e);
        }
    }
}
