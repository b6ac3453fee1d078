using System.Runtime.CompilerServices;
using Paddock.Block.Concurrency;

namespace Paddock.Block;

/// <summary>
/// A device whose size may change while clients use it: no request is inside while it does. Those under way end first; those that come wait, and
/// see the device of after. What lies beyond its new end fails with <see cref="BlockError.OutOfRange"/>.
/// </summary>
public class ResizableDevice : IBlockDevice
{
    private readonly IBlockDevice _device;
    private readonly RequestGate _gate = new();
    private volatile bool _shrunk;

    // a change of the size is under way, or has failed
    private volatile bool _unsettled;

    /// <param name="device">The device, with bounds and alignment checked; owned.</param>
    protected ResizableDevice(IBlockDevice device) => _device = device;

    /// <summary>Raised after the size has changed, when requests run again; also where the change failed after that, and may not be durable.</summary>
    public event Action? Resized;

    /// <summary>Asked before a change, with the new size in bytes: why it cannot be, or null. Requests stand still meanwhile.</summary>
    public Func<long, string?>? Objection { get; set; }

    /// <inheritdoc/>
    public long Length => _device.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _device.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => _device.Limits;

    /// <inheritdoc/>
    public IBlockDevice? Backing => _device.Backing;

    /// <summary>Lets a device change its size; a zoned one stays zoned.</summary>
    public static ResizableDevice Wrap(IBlockDevice device)
        => device is IZonedBlockDevice zoned ? new ResizableZonedDevice(zoned) : new ResizableDevice(device);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int ticket = _gate.TryEnter();
        if (ticket < 0)
        {
            return ReadLaterAsync(offset, buffer, cancellationToken);
        }

        ValueTask reading;
        try
        {
            CheckInside(offset, buffer.Length);
            reading = _device.ReadAsync(offset, buffer, cancellationToken);
        }
        catch
        {
            _gate.Leave(ticket);
            throw;
        }

        return Leave(ticket, reading);
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        int ticket = _gate.TryEnter();
        if (ticket < 0)
        {
            return WriteLaterAsync(offset, data, flags, cancellationToken);
        }

        ValueTask writing;
        try
        {
            CheckInside(offset, data.Length);
            writing = _device.WriteAsync(offset, data, flags, cancellationToken);
        }
        catch
        {
            _gate.Leave(ticket);
            throw;
        }

        return Leave(ticket, writing);
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        int ticket = await _gate.EnterAsync();
        try
        {
            CheckInside(offset, length);
            await _device.WriteZeroesAsync(offset, length, flags, cancellationToken);
        }
        finally
        {
            _gate.Leave(ticket);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        int ticket = await _gate.EnterAsync();
        try
        {
            CheckInside(offset, length);
            await _device.DiscardAsync(offset, length, cancellationToken);
        }
        finally
        {
            _gate.Leave(ticket);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        int ticket = await _gate.EnterAsync();
        try
        {
            await _device.FlushAsync(cancellationToken);
        }
        finally
        {
            _gate.Leave(ticket);
        }
    }

    /// <inheritdoc/>
    /// <remarks>The new size is durable when this completes. The same size changes nothing, stops no request, and nobody is told.</remarks>
    public async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length != Length || _unsettled)
        {
            await ResizeAsync(_ => length, preallocation, cancellationToken);
        }
    }

    /// <summary>Changes the size to one that depends on what it is when no other change can come between.</summary>
    /// <param name="sizeOf">Gives the new size for the one of now, both in bytes; what it throws, the caller gets, and nothing is changed.</param>
    /// <param name="preallocation">What is reserved for the new part.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>The size of before, in bytes.</returns>
    /// <exception cref="BlockException">It failed; a change of <see cref="Length"/> that was made before that stays, and <see cref="Resized"/> is raised.</exception>
    public async ValueTask<long> ResizeAsync(Func<long, long> sizeOf, Preallocation preallocation, CancellationToken cancellationToken = default)
    {
        bool changed = false;
        await _gate.CloseAsync();
        try
        {
            long before = Length;
            try
            {
                await ResizeClosedAsync(sizeOf(before), preallocation, cancellationToken);
                return before;
            }
            finally
            {
                changed = Length != before;
            }
        }
        finally
        {
            _gate.Open();
            if (changed)
            {
                Resized?.Invoke();
            }
        }
    }

    /// <summary>Completes when no change of the size is under way.</summary>
    public async ValueTask SettledAsync() => _gate.Leave(await _gate.EnterAsync());

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        int ticket = await _gate.EnterAsync();
        try
        {
            CheckInside(offset, 0);
            return await _device.GetStatusAsync(offset, length, cancellationToken);
        }
        finally
        {
            _gate.Leave(ticket);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return _device.DisposeAsync();
    }

    private async ValueTask ResizeClosedAsync(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        if (Objection?.Invoke(length) is { } why)
        {
            throw new BlockException(BlockError.NotSupported, why);
        }

        bool changes = length != Length;
        if (!changes && !_unsettled)
        {
            return;
        }

        // set first: whatever fails half way, no request runs into what may be gone, and the same size again is not taken for durable
        _shrunk |= length < Length;
        _unsettled = true;
        if (changes)
        {
            await _device.ResizeAsync(length, preallocation, cancellationToken);
        }

        await _device.FlushAsync(cancellationToken);
        _unsettled = false;
    }

    private async ValueTask ReadLaterAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await _gate.Opened;
        await ReadAsync(offset, buffer, cancellationToken);
    }

    private async ValueTask WriteLaterAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _gate.Opened;
        await WriteAsync(offset, data, flags, cancellationToken);
    }

    // most requests are done already
    private ValueTask Leave(int ticket, ValueTask operation)
    {
        if (!operation.IsCompleted)
        {
            return LeaveAfterAsync(ticket, operation);
        }

        _gate.Leave(ticket);
        return operation;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask LeaveAfterAsync(int ticket, ValueTask operation)
    {
        try
        {
            await operation;
        }
        finally
        {
            _gate.Leave(ticket);
        }
    }

    // who asks has seen the size of before, perhaps; until something was cut off, that was no larger
    private void CheckInside(long offset, long length)
    {
        if (_shrunk && (offset > Length || length > Length - offset))
        {
            throw new BlockException(BlockError.OutOfRange, $"offset {offset}, length {length}: outside the device of {Length} bytes");
        }
    }

    /// <summary>The zoned part.</summary>
    private sealed class ResizableZonedDevice(IZonedBlockDevice zoned) : ResizableDevice(zoned), IZonedBlockDevice
    {
        public ZonedLimits Zoned => zoned.Zoned;

        public IZoneAttributes? Attributes => field ??= zoned.Attributes is { } attributes ? new GatedAttributes(this, attributes) : null;

        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
        public async ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            int ticket = await _gate.EnterAsync();
            try
            {
                return await zoned.ReportZonesAsync(offset, zones, cancellationToken);
            }
            finally
            {
                _gate.Leave(ticket);
            }
        }

        public async ValueTask<ZoneFindings> FindZonesAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        {
            int ticket = await _gate.EnterAsync();
            try
            {
                return await zoned.FindZonesAsync(offset, which, zones, count, cancellationToken);
            }
            finally
            {
                _gate.Leave(ticket);
            }
        }

        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
        public async ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            int ticket = await _gate.EnterAsync();
            try
            {
                CheckZones(offset, length);
                await zoned.ManageZonesAsync(action, offset, length, cancellationToken);
            }
            finally
            {
                _gate.Leave(ticket);
            }
        }

        public ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
            => AppendAsync(zoneStart, data, flags, null, cancellationToken);

        public ValueTask<long> AppendObservedAsync(long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver observer)
            => AppendAsync(zoneStart, data, flags, observer, CancellationToken.None);

        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
        private async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags, IAppendObserver? observer, CancellationToken cancellationToken)
        {
            int ticket = await _gate.EnterAsync();
            try
            {
                CheckZones(zoneStart, data.Length);
                return await (observer is null ? zoned.AppendAsync(zoneStart, data, flags, cancellationToken)
                    : zoned.AppendObservedAsync(zoneStart, data, flags, observer));
            }
            finally
            {
                _gate.Leave(ticket);
            }
        }

        private void CheckZones(long offset, long length)
        {
            if (_shrunk && (length < 0 || offset > Length || length > Length - offset))
            {
                throw new ZoneException(ZoneError.OutOfRange, 0, $"offset {offset}, length {length}: outside the device of {Length} bytes");
            }
        }
    }

    /// <summary>What zones have beside their pointers, for as long as the zones are there.</summary>
    private sealed class GatedAttributes(ResizableDevice device, IZoneAttributes attributes) : IZoneAttributes
    {
        public int ExtensionBytes => attributes.ExtensionBytes;

        public bool HasExtension(int zone) => attributes.HasExtension(zone);

        public async ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
        {
            int ticket = await device._gate.EnterAsync();
            try
            {
                await attributes.SetConditionAsync(zone, condition, cancellationToken);
            }
            finally
            {
                device._gate.Leave(ticket);
            }
        }

        public async ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int ticket = await device._gate.EnterAsync();
            try
            {
                return await attributes.ReadExtensionAsync(zone, buffer, cancellationToken);
            }
            finally
            {
                device._gate.Leave(ticket);
            }
        }

        public async ValueTask WriteExtensionAsync(int zone, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        {
            int ticket = await device._gate.EnterAsync();
            try
            {
                await attributes.WriteExtensionAsync(zone, data, cancellationToken);
            }
            finally
            {
                device._gate.Leave(ticket);
            }
        }
    }
}
