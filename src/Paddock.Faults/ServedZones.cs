using Paddock.Block;

namespace Paddock.Faults;

/// <summary>The zones of the current device of a <see cref="ServedDevice"/>, behind its rules and its gate.</summary>
/// <param name="served">The device.</param>
/// <param name="operations">Operations of its requests as the rules see them.</param>
internal sealed class ServedZones(ServedDevice served, DeviceOperations operations) : IZones
{
    public ZonedLimits Limits => Inner.Limits;

    // clients keep this object while devices are replaced
    public IZoneAttributes? Attributes => field ??= Inner.Attributes is null ? null : new ServedAttributes(served);

    // a replacement is always of the same kind
    private IZones Inner => served.Device.Zones!;

    public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(operations & DeviceOperations.Report, offset, 1, zones.Length * Limits.ZoneSize), (offset, zones),
            static (device, r) => device.Zones!.ReportAsync(r.offset, r.zones, CancellationToken.None), cancellationToken);

    public ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(operations & DeviceOperations.Report, offset, 1, zones.Length * Limits.ZoneSize), (offset, which, zones, count),
            static (device, r) => device.Zones!.FindAsync(r.offset, r.which, r.zones, r.count, CancellationToken.None), cancellationToken);

    public ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(operations & OperationOf(action), offset, length), (action, offset, length),
            static (device, r) => device.Zones!.ManageAsync(r.action, r.offset, r.length, CancellationToken.None), cancellationToken);

    // it moves a write pointer, as a write does
    public ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(operations & DeviceOperations.Write, Math.Max(0, position - 1), 1), position,
            static (device, position) => device.Zones!.CommitAsync(position, CancellationToken.None), cancellationToken);

    // a rule for any part of the zone matches an append to it: the offset of the append is not known yet
    public ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(operations & DeviceOperations.Append, zoneStart, data.Length, Limits.ZoneSize),
            (zoneStart, data, flags, observer),
            static (device, r) => device.Zones!.AppendAsync(r.zoneStart, r.data, r.flags, r.observer, CancellationToken.None),
            cancellationToken);

    private static DeviceOperations OperationOf(ZoneAction action) => action switch
    {
        ZoneAction.Open or ZoneAction.OpenWithRandomArea => DeviceOperations.Open,
        ZoneAction.Close => DeviceOperations.Close,
        ZoneAction.Finish => DeviceOperations.Finish,
        _ => DeviceOperations.Reset,
    };

    /// <summary>Zone attributes, which bypass the rules: they set up the effect of a rule, and reports use them.</summary>
    private sealed class ServedAttributes(ServedDevice served) : IZoneAttributes
    {
        private static readonly ServedRange Anywhere = new(DeviceOperations.None, 0, 0);

        public int ExtensionBytes => Inner.ExtensionBytes;

        private IZoneAttributes Inner => served.Device.Zones!.Attributes!;

        public bool HasExtension(int zone) => Inner.HasExtension(zone);

        public ValueTask SetConditionAsync(int zone, ZoneCondition condition, CancellationToken cancellationToken = default)
            => served.RunAsync(
                Anywhere, (zone, condition, cancellationToken),
                static (device, r) => device.Zones!.Attributes!.SetConditionAsync(r.zone, r.condition, r.cancellationToken),
                cancellationToken);

        public ValueTask<bool> ReadExtensionAsync(int zone, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => served.RunAsync(
                Anywhere, (zone, buffer, cancellationToken),
                static (device, r) => device.Zones!.Attributes!.ReadExtensionAsync(r.zone, r.buffer, r.cancellationToken),
                cancellationToken);

        public ValueTask WriteExtensionAsync(
            int zone, ReadOnlyMemory<byte> data, bool randomArea = false, CancellationToken cancellationToken = default)
            => served.RunAsync(
                Anywhere, (zone, data, randomArea, cancellationToken),
                static (device, r) => device.Zones!.Attributes!.WriteExtensionAsync(r.zone, r.data, r.randomArea, r.cancellationToken),
                cancellationToken);
    }
}
