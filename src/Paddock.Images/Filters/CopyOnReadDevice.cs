using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Faults;
using Paddock.Images.Nodes;

namespace Paddock.Images.Filters;

/// <summary>
/// A disk that keeps what it reads from backing images: a read of clusters that the image does not have writes them there.
/// </summary>
/// <remarks>
/// Clusters being copied are locked against changes, so that old data never replaces a newer write. A zoned disk is not supported: data
/// would be written at places other than write pointers.
/// </remarks>
internal sealed class CopyOnReadDevice : DelegatingDevice
{
    private const int MaxCopy = 16 << 20;

    private readonly RangeLock _units = new();
    private readonly FaultStorage? _events;
    private readonly long _unit;

    /// <param name="device">The disk; owned.</param>
    /// <param name="unit">Bytes that are copied at once: a cluster.</param>
    /// <param name="events">Learns of each copy; null: nobody does.</param>
    public CopyOnReadDevice(IBlockDevice device, long unit = 1, FaultStorage? events = null)
        : base(device)
    {
        _unit = Math.Max(unit, Math.Max(1, device.Limits.RequestAlignment));
        _events = events;
    }

    /// <summary>Puts the filter on a node.</summary>
    /// <exception cref="ToolException">The node cannot be written, or is zoned.</exception>
    public static CopyOnReadDevice Over(ImageNode node, FaultStorage? events)
    {
        if (node.Device.IsReadOnly)
        {
            throw new ToolException("Can't use copy-on-read on read-only device");
        }

        var device = CheckedDevice.Unwrap(node.Device);
        return device.Zones is null ? new CopyOnReadDevice(device, node.CopyUnit, events)
            : throw new ToolException("copy-on-read is not supported on a zoned disk: its zones are written at their write pointers only");
    }

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            var status = await Inner.GetStatusAsync(offset, buffer.Length, cancellationToken);
            int run = (int)Math.Min(Math.Max(status.Length, 1), buffer.Length);
            if ((status.Flags & BlockStatusFlags.Allocated) != 0)
            {
                await Inner.ReadAsync(offset, buffer[..run], cancellationToken);
            }
            else
            {
                run = Math.Min(run, MaxCopy);
                await CopyAsync(offset, buffer[..run], cancellationToken);
            }

            offset += run;
            buffer = buffer[run..];
        }
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => ChangeAsync(offset, data.Length, () => Inner.WriteAsync(offset, data, flags, cancellationToken));

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => ChangeAsync(offset, length, () => Inner.WriteZeroesAsync(offset, length, flags, cancellationToken));

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => ChangeAsync(offset, length, () => Inner.DiscardAsync(offset, length, cancellationToken));

    private async ValueTask ChangeAsync(long offset, long length, Func<ValueTask> change)
    {
        var (first, last) = UnitsOf(offset, length);
        await _units.AcquireAsync(first, last, exclusive: false);
        try
        {
            await change();
        }
        finally
        {
            _units.Release(first, last, exclusive: false);
        }
    }

    private (long First, long Last) UnitsOf(long offset, long length) => (offset / _unit, (offset + Math.Max(length, 1) - 1) / _unit);

    private async ValueTask CopyAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var (first, last) = UnitsOf(offset, buffer.Length);
        await _units.AcquireAsync(first, last, exclusive: true);
        try
        {
            long start = first * _unit, end = Math.Min((last + 1) * _unit, Length);
            var whole = new byte[end - start];
            await Inner.ReadAsync(start, whole, cancellationToken);
            for (long at = start; at < end;)
            {
                // a write may have come first, and allocated some of them
                var status = await Inner.GetStatusAsync(at, end - at, cancellationToken);
                long run = Math.Min(Math.Max(status.Length, 1), end - at);
                if ((status.Flags & BlockStatusFlags.Allocated) == 0)
                {
                    await KeepAsync(at, whole.AsMemory((int)(at - start), (int)run), cancellationToken);
                }

                at += run;
            }

            whole.AsSpan((int)(offset - start), buffer.Length).CopyTo(buffer.Span);
        }
        finally
        {
            _units.Release(first, last, exclusive: true);
        }
    }

    private async ValueTask KeepAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (_events is not null)
        {
            await _events.OnEventAsync(FaultEvents.CopyOnRead);
        }

        await (data.Span.ContainsAnyExcept((byte)0)
            ? Inner.WriteAsync(offset, data, WriteFlags.None, cancellationToken)
            : Inner.WriteZeroesAsync(offset, data.Length, ZeroFlags.None, cancellationToken));
    }
}
