using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// A zoned disk on a qcow2 image: joins the zone state machine to the engine, and keeps the zone table (spec sections 3 and 4).
/// </summary>
/// <remarks>
/// Writes to one zone go one after another, in order of arrival; different zones run at once. Small writes gather in <see
/// cref="ZoneBuffers"/>: the drive's volatile cache. A flush drains it, makes data and tables durable, and only then writes the
/// pointers as they were when it began. A reset writes the pointers first, so that no pointer is ever left standing above data that
/// is gone.
/// </remarks>
internal sealed partial class ZonedImage : IQcow2Device, IZones
{
    private readonly Qcow2Image _image;
    private readonly ImageParts _parts;
    private readonly ZoneSet _zones;
    private readonly ZonePointerTable _table;
    private readonly PaddockTables _tables;
    private readonly ZoneConditions _conditions;
    private readonly ZoneExtensions _extensions;
    private readonly ZoneBuffers _buffers = new();
    private readonly RangeLock _zoneLocks = new();
    private readonly Lock _state = new();
    private ZonedParameters _parameters;
    private readonly ZoneTableStage _tableStage;
    private volatile bool _hasTableSpace;

    /// <summary>After a reset that failed: the storage may have other pointers than memory until they have been written again.</summary>
    private volatile bool _isUncertain;

    private ZonedImage(Qcow2Image image, ZonedParameters parameters, ZoneSet zones, ZonePointerTable table)
    {
        _image = image;
        _parts = image.Parts;
        _parameters = parameters;
        _zones = zones;
        _table = table;
        _tables = new PaddockTables(image.Storage, _parts.Header, _parts.Tables, _parts.Warnings);
        _conditions = new ZoneConditions(_parts.Tables, _parts.Order, _tables);
        _extensions = new ZoneExtensions(
            image.Storage, _parts.Header.Geometry, _parts.InPlace, _parts.Tables, _parts.Order, _tables);
        _tableStage = new ZoneTableStage(table, zones, _buffers, _state);
        _parts.Order.Register(FlushPlace.ZoneAttributes, new ZoneAttributeStage(_tables, _extensions));
        _parts.Order.Register(FlushPlace.ZoneTable, _tableStage);
        _parts.Session.Require(IncompatibleFeatures.Zoned);
        _parts.Guard.Map.SetRange(MetadataKind.ZoneTable, table.Offset, table.Stored.Length);
    }

    /// <inheritdoc/>
    public long Length => _image.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _image.IsReadOnly;

    /// <inheritdoc/>
    public BlockLimits Limits => _image.Limits with { RequestAlignment = 1 };

    /// <inheritdoc/>
    public IBlockDevice? Backing => _image.Backing;

    /// <inheritdoc/>
    public IStorage Storage => _image.Storage;

    /// <inheritdoc/>
    public IReadOnlyList<string> Warnings => _image.Warnings;

    /// <inheritdoc/>
    public IZones Zones => this;

    /// <inheritdoc/>
    ZonedLimits IZones.Limits => _zones.Limits;

    /// <inheritdoc/>
    public Qcow2ImageInfo Info => _image.Info with
    {
        Zoned = new ZonedImageInfo(_parameters.Layout, _zones.Limits, _table.Offset.Value, _table.Stored.Length)
        {
            TableInForeignOrder = IsTableForeign,
            ReadOnlyZones = Count(zone => _conditions[zone] == ZoneCondition.ReadOnly),
            OfflineZones = Count(zone => _zones.ConditionOf(zone) == ZoneCondition.Offline),
            ExtendedZones = Count(_zones.IsExtended),
            ExtensionBytes = _extensions.Bytes,
        },
    };

    private bool IsTableForeign => _table.Format != ZoneTableFormat.Of(_parameters.Layout);

    /// <summary>Gives the zoned device where the image has zones, else the image itself; with the warnings of zoned-qcow2.md 1.1.</summary>
    public static async ValueTask<IQcow2Device> AttachAsync(Qcow2Image image, CancellationToken cancellationToken)
    {
        bool flagged = image.Parts.Header.Has(IncompatibleFeatures.Zoned);
        var extension = image.Parts.Header.Find(HeaderExtension.Zoned);
        var parameters = extension is null
            ? null
            : ZonedExtension.Read(extension.Data, image.Length, image.Parts.Header.Geometry.ClusterSize, image.Storage.Length);
        if (parameters is null)
        {
            if (flagged)
            {
                image.Parts.Warnings.Add("the image has the zoned feature bit and no zones: opened as a regular image (check -r all clears the bit)");
            }

            return image;
        }

        if (!image.Parts.Header.HasVersion3)
        {
            throw new BlockException(BlockError.NotSupported, "a version 2 image cannot be zoned: it has no feature bit that keeps other programs from writing it");
        }

        if (!flagged)
        {
            image.Parts.Warnings.Add("the image has zones and not the zoned feature bit, which will be set before the first write");
        }

        var stored = new byte[parameters.ZoneCount * (long)ZoneTableFormat.EntrySize];
        await image.Storage.OnEventAsync("zone_table_load");
        await image.Storage.ReadAsync((long)parameters.TableOffset, stored, cancellationToken);
        var zones = new ZoneSet(parameters.Limits, image.Length);
        var format = ZoneTableFormat.Detect(stored, parameters.Layout, zones);
        LoadZones(image, stored, format, zones);
        var zoned = new ZonedImage(image, parameters, zones, new ZonePointerTable(image.Storage, new HostOffset((long)parameters.TableOffset), stored, format));
        await zoned._extensions.LoadAsync(zones, cancellationToken);
        await zoned._conditions.LoadAsync(zones, cancellationToken);
        return zoned;
    }

    /// <inheritdoc/>
    public ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "a zoned image takes no compressed writes");

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!IsReadOnly)
            {
                await DrainAllAsync(CancellationToken.None);
            }
        }
        finally
        {
            await _image.DisposeAsync();
        }
    }

    /// <inheritdoc/>
    public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
    {
        lock (_state)
        {
            return ValueTask.FromResult(_zones.Report(offset, zones.Span));
        }
    }

    /// <inheritdoc/>
    public ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
    {
        lock (_state)
        {
            return ValueTask.FromResult(_zones.Find(offset, which, zones.Span, count));
        }
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _image.ThrowIfFlushFailed();

    private int Count(Func<int, bool> belongs)
    {
        lock (_state)
        {
            return Enumerable.Range(0, _zones.Count).Count(belongs);
        }
    }

    private static void LoadZones(Qcow2Image image, byte[] stored, ZoneTableFormat format, ZoneSet zones)
    {
        int bad = 0;
        int firstBad = -1;
        for (int zone = 0; zone < zones.Count; zone++)
        {
            if (format.TryRead(stored, zone, zones, out long pointer))
            {
                zones.SetLoaded(zone, pointer);
            }
            else
            {
                zones.SetFixed(zone, ZoneCondition.Offline);
                firstBad = bad++ == 0 ? zone : firstBad;
            }
        }

        if (bad > 0)
        {
            image.Parts.Warnings.Add(
                $"the zone table is corrupt: {bad} of its entries, the first that of zone {firstBad}, "
                + "point outside their zones, which are OFFLINE (check -r all mends them)");
        }
    }

    private ZoneException Refuse(ZoneResult result, string what, long offset, long length)
        => ZoneMessages.Exception(result, _zones, what, offset, length);

    /// <summary>Raises the trace event when a request changed the number of implicitly open zones. Under the device's lock.</summary>
    private void TraceOpen(string operation, int before)
    {
        if (before != _zones.ImplicitlyOpenCount && Qcow2Trace.IsEnabled)
        {
            Qcow2Trace.ImpOpenZones(operation, _zones.ImplicitlyOpenCount);
        }
    }
}
