using Paddock.Block;

namespace Paddock.Testing;

/// <summary>
/// Device double: a disk in memory, or another device, whose requests can be counted, recorded, held, delayed or failed. Without any of
/// these, a request passes unchanged and allocates nothing.
/// </summary>
public sealed class TestDevice : DelegatingDevice
{
    private readonly long[] _counts = new long[Enum.GetValues<DeviceCall>().Length];
    private readonly List<DeviceRequest> _requests = [];
    private readonly Func<long>? _length;
    private readonly BlockLimits? _limits;
    private readonly IBlockDevice? _backing;
    private readonly bool _readOnly;
    private readonly TestZones? _zones;

    /// <summary>Creates a disk in memory that reads as zeroes.</summary>
    public TestDevice(
        long size, BlockLimits? limits = null, bool readOnly = false, Func<long>? length = null, IBlockDevice? backing = null)
        : this(MemoryDisk.Of(size), limits, readOnly, length, backing)
    {
    }

    /// <param name="inner">Device that receives the forwarded requests; owned.</param>
    /// <param name="limits">Limits to report instead of the device's own.</param>
    /// <param name="readOnly">Whether the device is reported as read-only.</param>
    /// <param name="length">Returns the size to report instead of the device's own, or throws.</param>
    /// <param name="backing">Backing image to report instead of the device's own.</param>
    public TestDevice(
        IBlockDevice inner, BlockLimits? limits = null, bool readOnly = false, Func<long>? length = null, IBlockDevice? backing = null)
        : base(inner)
    {
        (_limits, _readOnly, _length, _backing) = (limits, readOnly, length, backing);
        _zones = inner.Zones is { } zones ? new TestZones(this, zones) : null;
    }

    /// <summary>Wraps each request: calls the second argument to forward the request, and may wait or throw before and after.</summary>
    public Func<DeviceRequest, Func<ValueTask>, ValueTask>? Around { get; set; }

    /// <summary>Replaces reads of the disk.</summary>
    public Func<long, Memory<byte>, ValueTask>? Reads { get; init; }

    /// <summary>Replaces the block status of the disk.</summary>
    public Func<long, long, BlockStatus>? Status { get; init; }

    /// <summary>Modifies reported zones.</summary>
    public Func<ZoneDescriptor, ZoneDescriptor>? ZoneReported { get; init; }

    /// <summary>Failures by kind of request; such a request is not forwarded.</summary>
    public Dictionary<DeviceCall, Exception> Failures { get; init; } = [];

    /// <summary>Whether requests are recorded.</summary>
    public bool Records { get; set; }

    /// <summary>Received requests in order, if recorded; status and close requests are not.</summary>
    public IReadOnlyList<DeviceRequest> Requests
    {
        get
        {
            lock (_requests)
            {
                return [.. _requests];
            }
        }
    }

    /// <inheritdoc/>
    public override long Length => _length is null ? base.Length : _length();

    /// <inheritdoc/>
    public override bool IsReadOnly => _readOnly || base.IsReadOnly;

    /// <inheritdoc/>
    public override BlockLimits Limits => _limits ?? base.Limits;

    /// <inheritdoc/>
    public override IBlockDevice? Backing => _backing ?? base.Backing;

    /// <inheritdoc/>
    public override IZones? Zones => _zones;

    private bool IsPlain => Around is null && Failures.Count == 0;

    /// <summary>Number of received requests of these kinds.</summary>
    public int Count(params ReadOnlySpan<DeviceCall> calls)
    {
        long sum = 0;
        foreach (var call in calls)
        {
            sum += Interlocked.Read(ref _counts[(int)call]);
        }

        return (int)sum;
    }

    /// <summary>Clears counts and records.</summary>
    public void Forget()
    {
        Array.Clear(_counts);
        lock (_requests)
        {
            _requests.Clear();
        }
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.Read, offset, buffer.Length))
            ? ReadNowAsync(offset, buffer, cancellationToken)
            : RunAsync(
                new(DeviceCall.Read, offset, buffer.Length), (offset, buffer),
                static (d, r, token) => d.ReadNowAsync(r.offset, r.buffer, token), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.Write, offset, data.Length, flags))
            ? Inner.WriteAsync(offset, data, flags, cancellationToken)
            : RunAsync(
                new(DeviceCall.Write, offset, data.Length, flags), (offset, data, flags),
                static (d, r, token) => d.Inner.WriteAsync(r.offset, r.data, r.flags, token), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.WriteZeroes, offset, length, Zero: flags))
            ? Inner.WriteZeroesAsync(offset, length, flags, cancellationToken)
            : RunAsync(
                new(DeviceCall.WriteZeroes, offset, length, Zero: flags), (offset, length, flags),
                static (d, r, token) => d.Inner.WriteZeroesAsync(r.offset, r.length, r.flags, token), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.Discard, offset, length))
            ? Inner.DiscardAsync(offset, length, cancellationToken)
            : RunAsync(
                new(DeviceCall.Discard, offset, length), (offset, length),
                static (d, r, token) => d.Inner.DiscardAsync(r.offset, r.length, token), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.Flush))
            ? Inner.FlushAsync(cancellationToken)
            : RunAsync(new(DeviceCall.Flush), 0, static (d, _, token) => d.Inner.FlushAsync(token), cancellationToken);

    /// <inheritdoc/>
    public override ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => Note(new(DeviceCall.Resize, 0, length))
            ? Inner.ResizeAsync(length, preallocation, cancellationToken)
            : RunAsync(
                new(DeviceCall.Resize, 0, length), (length, preallocation),
                static (d, r, token) => d.Inner.ResizeAsync(r.length, r.preallocation, token), cancellationToken);

    /// <inheritdoc/>
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        Note(new(DeviceCall.Status, offset, length));
        return Status is null ? await Inner.GetStatusAsync(offset, length, cancellationToken) : Status(offset, length);
    }

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
        => Note(new(DeviceCall.Dispose))
            ? base.DisposeAsync() : RunAsync(new(DeviceCall.Dispose), 0, static (d, _, _) => d.CloseAsync(), CancellationToken.None);

    private ValueTask CloseAsync() => base.DisposeAsync();

    private ValueTask ReadNowAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => Reads is null ? Inner.ReadAsync(offset, buffer, cancellationToken) : Reads(offset, buffer);

    // whether the request passes unchanged
    private bool Note(in DeviceRequest request)
    {
        Interlocked.Increment(ref _counts[(int)request.Call]);
        if (Records && request.Call is not (DeviceCall.Status or DeviceCall.Dispose))
        {
            lock (_requests)
            {
                _requests.Add(request);
            }
        }

        return IsPlain;
    }

    private ValueTask RunAsync<TArguments>(
        DeviceRequest request, TArguments arguments, Func<TestDevice, TArguments, CancellationToken, ValueTask> send,
        CancellationToken cancellationToken)
        => Failures.TryGetValue(request.Call, out var failure) ? ValueTask.FromException(failure)
            : Around is { } around ? around(request, () => send(this, arguments, cancellationToken))
            : send(this, arguments, cancellationToken);

    private sealed class TestZones(TestDevice device, IZones zones) : DelegatingZones(zones)
    {
        public override async ValueTask<int> ReportAsync(
            long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        {
            int count = 0;
            var request = new DeviceRequest(DeviceCall.Report, offset);
            device.Note(request);
            await device.RunAsync(
                request, 0, async (_, _, token) => count = await Inner.ReportAsync(offset, zones, token), cancellationToken);
            for (int i = 0; i < count && device.ZoneReported is not null; i++)
            {
                zones.Span[i] = device.ZoneReported(zones.Span[i]);
            }

            return count;
        }

        public override ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
            => device.ZoneReported is null
                ? Inner.FindAsync(offset, which, zones, count, cancellationToken)
                : ZoneWalk.FindAsync(device, offset, which, zones, count, cancellationToken);

        public override ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        {
            var request = new DeviceRequest(DeviceCall.Manage, offset, length, Action: action);
            return device.Note(request)
                ? Inner.ManageAsync(action, offset, length, cancellationToken)
                : device.RunAsync(request, 0, (_, _, token) => Inner.ManageAsync(action, offset, length, token), cancellationToken);
        }

        public override ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        {
            var request = new DeviceRequest(DeviceCall.Commit, position);
            return device.Note(request)
                ? Inner.CommitAsync(position, cancellationToken)
                : device.RunAsync(request, 0, (_, _, token) => Inner.CommitAsync(position, token), cancellationToken);
        }

        public override async ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
        {
            long landed = 0;
            var request = new DeviceRequest(DeviceCall.Append, zoneStart, data.Length, flags, Observer: observer);
            device.Note(request);
            await device.RunAsync(
                request, 0, async (_, _, token) => landed = await Inner.AppendAsync(zoneStart, data, flags, observer, token),
                cancellationToken);
            return landed;
        }
    }
}
