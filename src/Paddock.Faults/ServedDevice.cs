using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// A device that servers share between clients: requests first pass the rules of <see cref="DeviceFaults"/>, then the gate that is closed
/// during a resize, and then reach the device, which may be replaced (like a drive after a power cut).
/// </summary>
/// <remarks>
/// A client's token cancels only the wait that a rule imposes: a request that has reached the device is completed. Without rules, a request
/// that the device completes at once costs no allocation and no lock.
/// </remarks>
internal sealed class ServedDevice : DelegatingDevice
{
    private readonly ResizeGate _resizing = new();
    private readonly ServedZones? _zones;
    private readonly ServedRangeCopy? _copy;
    private readonly ServedUnreadable? _unreadable;

    /// <param name="device">The device; owned, as are those that replace it.</param>
    /// <param name="faults">The rules; null: a new, empty set.</param>
    public ServedDevice(IBlockDevice device, DeviceFaults? faults = null)
        : base(CheckedDevice.Unwrap(device))
    {
        Faults = faults ?? new DeviceFaults();
        _zones = device.Zones is null ? null : new ServedZones(this, DeviceOperations.Any);
        _copy = device.RangeCopy is null ? null : new ServedRangeCopy(this);
        _unreadable = device.UnreadableRanges is null ? null : new ServedUnreadable(this);
        ZonesWithoutFaults = device.Zones is null ? null : new ServedZones(this, DeviceOperations.None);
    }

    /// <summary>
    /// Raised after the size has changed, once requests run again; also if the resize failed after that and may not be durable.
    /// </summary>
    public event Action? Resized;

    /// <summary>
    /// Raised before a resize, with the new size in bytes, while requests are blocked. A handler returns null, or the reason why the resize
    /// is impossible and must be rejected.
    /// </summary>
    public event Func<long, string?>? Resizing;

    /// <summary>The rules.</summary>
    public DeviceFaults Faults { get; }

    /// <inheritdoc/>
    public override IZones? Zones => _zones;

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => _copy;

    /// <inheritdoc/>
    public override IUnreadableRanges? UnreadableRanges => _unreadable;

    /// <summary>The zones for the server's own reports, which bypass the rules and their counters.</summary>
    public IZones? ZonesWithoutFaults { get; }

    internal IBlockDevice Device => Inner;

    /// <summary>Makes new requests wait until <see cref="Unblock"/>, once none is inside the device any more.</summary>
    /// <param name="limit">Time for the requests inside; after it, the device is not blocked.</param>
    /// <returns>Whether the device is blocked.</returns>
    /// <remarks>Requests that a rule holds are not inside: give them up, or they reach whatever device they find later.</remarks>
    public ValueTask<bool> TryBlockAsync(TimeSpan limit) => _resizing.Gate.TryCloseAsync(limit);

    /// <summary>Makes new requests wait until <see cref="Unblock"/>, however long those inside the device take.</summary>
    public ValueTask BlockAsync() => _resizing.Gate.CloseAsync();

    /// <summary>Ends what <see cref="TryBlockAsync"/> or <see cref="BlockAsync"/> began.</summary>
    public void Unblock() => _resizing.Gate.Open();

    /// <summary>
    /// Replaces the device with another of the same kind and geometry; the size may differ. The old one stays open until no request is
    /// inside it: either <see cref="TryBlockAsync"/> came first, or <see cref="BlockAsync"/> follows.
    /// </summary>
    /// <returns>The previous device, no longer owned.</returns>
    /// <exception cref="BlockException">The new device is of another kind, or has different zones.</exception>
    public IBlockDevice Replace(IBlockDevice device)
    {
        var before = Inner;
        if (KindOf(before) != KindOf(device))
        {
            throw new BlockException(BlockError.InvalidArgument, "the image came back with other zones");
        }

        _resizing.Replaced(before.Length, device.Length);
        Inner = CheckedDevice.Unwrap(device);
        return before;
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        // the most frequent requests are written out: RunAsync costs some 20 ns more
        int ticket = TryEnter();
        if (ticket < 0)
        {
            return WaitAndRunAsync(
                new ServedRange(DeviceOperations.Read, offset, buffer.Length), (offset, buffer),
                static (device, r) => device.ReadAsync(r.offset, r.buffer, CancellationToken.None), cancellationToken);
        }

        ValueTask reading;
        try
        {
            reading = Admit(offset, buffer.Length).ReadAsync(offset, buffer, CancellationToken.None);
        }
        catch
        {
            _resizing.Gate.Leave(ticket);
            throw;
        }

        return Leave(ticket, reading);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        int ticket = TryEnter();
        if (ticket < 0)
        {
            return WaitAndRunAsync(
                new ServedRange(DeviceOperations.Write, offset, data.Length), (offset, data, flags),
                static (device, r) => device.WriteAsync(r.offset, r.data, r.flags, CancellationToken.None), cancellationToken);
        }

        ValueTask writing;
        try
        {
            writing = Admit(offset, data.Length).WriteAsync(offset, data, flags, CancellationToken.None);
        }
        catch
        {
            _resizing.Gate.Leave(ticket);
            throw;
        }

        return Leave(ticket, writing);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => RunAsync(
            new ServedRange(DeviceOperations.Zeroes, offset, length), (offset, length, flags),
            static (device, r) => device.WriteZeroesAsync(r.offset, r.length, r.flags, CancellationToken.None), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => RunAsync(
            new ServedRange(DeviceOperations.Discard, offset, length), (offset, length),
            static (device, r) => device.DiscardAsync(r.offset, r.length, CancellationToken.None), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => RunAsync(
            new ServedRange(DeviceOperations.Flush, 0, 0), 0, static (device, _) => device.FlushAsync(CancellationToken.None),
            cancellationToken);

    /// <inheritdoc/>
    /// <remarks>
    /// The new size is durable when this completes. A resize to the current size changes nothing, blocks no request, and raises no event.
    /// </remarks>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length != Length || _resizing.IsUnsettled)
        {
            await ResizeAsync(_ => length, preallocation, cancellationToken);
        }
    }

    /// <summary>Changes the size to one that depends on the current one, with no other resize in between.</summary>
    /// <param name="sizeOf">Returns the new size in bytes for the current one; if it throws, nothing is changed.</param>
    /// <param name="preallocation">Preallocation of the new part.</param>
    /// <param name="cancellationToken">Cancels the resize.</param>
    /// <returns>The previous size, in bytes.</returns>
    /// <exception cref="BlockException">
    /// The resize failed; a size that had changed before that stays, and <see cref="Resized"/> is raised.
    /// </exception>
    public ValueTask<long> ResizeAsync(Func<long, long> sizeOf, Preallocation preallocation, CancellationToken cancellationToken = default)
        => _resizing.ResizeAsync(() => Inner, sizeOf, () => Resizing, preallocation, () => Resized?.Invoke(), cancellationToken);

    /// <summary>Completes when no resize is in flight.</summary>
    public ValueTask SettledAsync() => _resizing.SettledAsync();

    /// <inheritdoc/>
    public override ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => RunAsync(
            new ServedRange(DeviceOperations.None, offset, 0), (offset, length, cancellationToken),
            static (device, r) => device.GetStatusAsync(r.offset, r.length, r.cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        Faults.GiveUpAll();
        return base.DisposeAsync();
    }

    /// <summary>Runs a request through the rules and the gate.</summary>
    /// <param name="range">Operation and range of the request.</param>
    /// <param name="request">Arguments of the request.</param>
    /// <param name="send">Sends it to the device.</param>
    /// <param name="cancellationToken">Cancels the wait that a rule imposes.</param>
    internal ValueTask RunAsync<TRequest>(
        in ServedRange range, in TRequest request, Func<IBlockDevice, TRequest, ValueTask> send, CancellationToken cancellationToken)
    {
        int ticket = range.IsFree || Faults.IsIdle ? _resizing.Gate.TryEnter() : -1;
        if (ticket < 0)
        {
            return WaitAndRunAsync(range, request, send, cancellationToken);
        }

        ValueTask running;
        try
        {
            running = send(Admit(range), request);
        }
        catch
        {
            _resizing.Gate.Leave(ticket);
            throw;
        }

        return Leave(ticket, running);
    }

    /// <summary>Runs a request with a result through the rules and the gate.</summary>
    internal ValueTask<TResult> RunAsync<TRequest, TResult>(
        in ServedRange range, in TRequest request, Func<IBlockDevice, TRequest, ValueTask<TResult>> send,
        CancellationToken cancellationToken)
    {
        int ticket = range.IsFree || Faults.IsIdle ? _resizing.Gate.TryEnter() : -1;
        if (ticket < 0)
        {
            return WaitAndRunAsync(range, request, send, cancellationToken);
        }

        ValueTask<TResult> running;
        try
        {
            running = send(Admit(range), request);
        }
        catch
        {
            _resizing.Gate.Leave(ticket);
            throw;
        }

        if (!running.IsCompleted)
        {
            return LeaveAfterAsync(ticket, running);
        }

        _resizing.Gate.Leave(ticket);
        return running;
    }

    // fails if a rule or the gate may hold a request
    private int TryEnter() => Faults.IsIdle ? _resizing.Gate.TryEnter() : -1;

    // most requests are complete at this point
    private ValueTask Leave(int ticket, ValueTask running)
    {
        if (!running.IsCompleted)
        {
            return LeaveAfterAsync(ticket, running);
        }

        _resizing.Gate.Leave(ticket);
        return running;
    }

    private IBlockDevice Admit(long offset, long length)
    {
        var device = Inner;
        if (_resizing.HasShrunk)
        {
            new ServedRange(DeviceOperations.None, offset, length).CheckInside(device.Length);
        }

        return device;
    }

    // the device for a request inside the gate, where the size cannot change
    private IBlockDevice Admit(in ServedRange range)
    {
        var device = Inner;
        if (_resizing.HasShrunk)
        {
            range.CheckInside(device.Length);
        }

        return device;
    }

    private async ValueTask WaitAndRunAsync<TRequest>(
        ServedRange range, TRequest request, Func<IBlockDevice, TRequest, ValueTask> send, CancellationToken cancellationToken)
    {
        int ticket = await AdmissionAsync(range, cancellationToken);
        try
        {
            await send(Admit(range), request);
        }
        finally
        {
            _resizing.Gate.Leave(ticket);
        }
    }

    private async ValueTask<TResult> WaitAndRunAsync<TRequest, TResult>(
        ServedRange range, TRequest request, Func<IBlockDevice, TRequest, ValueTask<TResult>> send, CancellationToken cancellationToken)
    {
        int ticket = await AdmissionAsync(range, cancellationToken);
        try
        {
            return await send(Admit(range), request);
        }
        finally
        {
            _resizing.Gate.Leave(ticket);
        }
    }

    // rules come before the gate: a request held by a rule does not delay a resize
    private async ValueTask<int> AdmissionAsync(ServedRange range, CancellationToken cancellationToken)
    {
        if (!range.IsFree && !Faults.IsIdle)
        {
            await Faults.MeetAsync(range.Operation, range.Offset, range.Affected, cancellationToken);
        }

        // while the requests inside a lost disk end, new ones fail at once
        (Inner as UnownedDevice)?.Reject();
        return await _resizing.Gate.EnterAsync();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask LeaveAfterAsync(int ticket, ValueTask running)
    {
        try
        {
            await running;
        }
        finally
        {
            _resizing.Gate.Leave(ticket);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TResult> LeaveAfterAsync<TResult>(int ticket, ValueTask<TResult> running)
    {
        try
        {
            return await running;
        }
        finally
        {
            _resizing.Gate.Leave(ticket);
        }
    }

    private static ZonedLimits? KindOf(IBlockDevice device) => device.Zones is { } zones ? zones.Limits with { ZoneCount = 0 } : null;
}
