using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// A device as servers share it between clients: requests first pass the rules of <see cref="DeviceFaults"/>, then the gate that is
/// closed while the size changes, and then reach the device, which may be replaced (as a drive is whose power was cut).
/// </summary>
/// <remarks>
/// A client's token ends the wait that a rule imposes, and goes no further: a request that has reached the device is completed.
/// Without rules a request that the device completes at once costs no allocation and no lock.
/// </remarks>
internal sealed class ServedDevice : DelegatingDevice
{
    private readonly ResizeGate _resizing = new();
    private readonly ServedZones? _zones;

    /// <param name="device">The device; owned, as are those that replace it.</param>
    /// <param name="faults">The rules; null: none can be made.</param>
    public ServedDevice(IBlockDevice device, DeviceFaults? faults = null)
        : base(CheckedDevice.Unwrap(device))
    {
        Faults = faults ?? new DeviceFaults();
        _zones = device.Zones is null ? null : new ServedZones(this, DeviceOperations.Any);
        ZonesWithoutFaults = device.Zones is null ? null : new ServedZones(this, DeviceOperations.None);
    }

    /// <summary>
    /// Raised after the size has changed, when requests run again; also where the change failed after that, and may not be durable.
    /// </summary>
    public event Action? Resized;

    /// <summary>
    /// Raised before a change of the size, with the new one in bytes, while requests stand still. A handler returns null, or why the
    /// change is impossible: then it is refused.
    /// </summary>
    public event Func<long, string?>? Resizing;

    /// <summary>The rules.</summary>
    public DeviceFaults Faults { get; }

    /// <inheritdoc/>
    public override IZones? Zones => _zones;

    /// <summary>The zones for the server's own reports, which no rule meets and none counts.</summary>
    public IZones? ZonesWithoutFaults { get; }

    internal IBlockDevice Device => Inner;

    /// <summary>
    /// Replaces the device by another of the same kind and geometry; the size may differ. No request may be inside the old one.
    /// </summary>
    /// <returns>The previous device, no longer owned.</returns>
    /// <exception cref="BlockException">The new one is of another kind, or has other zones.</exception>
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
    /// The new size is durable when this completes. The same size changes nothing, stops no request, and raises no event.
    /// </remarks>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length != Length || _resizing.IsUnsettled)
        {
            await ResizeAsync(_ => length, preallocation, cancellationToken);
        }
    }

    /// <summary>Changes the size to one that depends on the current one, with no other change in between.</summary>
    /// <param name="sizeOf">Returns the new size in bytes for the current one; if it throws, nothing is changed.</param>
    /// <param name="preallocation">What is reserved for the new part.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>The previous size, in bytes.</returns>
    /// <exception cref="BlockException">
    /// It failed; a change of the size made before that stays, and <see cref="Resized"/> is raised.
    /// </exception>
    public ValueTask<long> ResizeAsync(Func<long, long> sizeOf, Preallocation preallocation, CancellationToken cancellationToken = default)
        => _resizing.ResizeAsync(() => Inner, sizeOf, () => Resizing, preallocation, () => Resized?.Invoke(), cancellationToken);

    /// <summary>Completes when no change of the size is under way.</summary>
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

    /// <summary>Runs a request through rules and gate.</summary>
    /// <param name="range">What it is and what it touches.</param>
    /// <param name="request">Its arguments.</param>
    /// <param name="send">Sends it to the device.</param>
    /// <param name="cancellationToken">Ends the wait that a rule imposes.</param>
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

    /// <summary>The same for a request with a result.</summary>
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

    // fails where a rule or the gate may hold a request
    private int TryEnter() => Faults.IsIdle ? _resizing.Gate.TryEnter() : -1;

    // most requests are complete already
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

    // the device for a request that is inside the gate, where the size is certain
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

    // rules come before the gate: a request that one holds does not hold up a change of the size
    private async ValueTask<int> AdmissionAsync(ServedRange range, CancellationToken cancellationToken)
    {
        if (!range.IsFree && !Faults.IsIdle)
        {
            await Faults.MeetAsync(range.Operation, range.Offset, range.Affected, cancellationToken);
        }

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
