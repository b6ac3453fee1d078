using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

/// <summary>
/// A zoned disk on a qcow2 image: joins the zone state machine to the engine, and keeps the zone table (zoned-qcow2.md 3 and 4). It
/// only composes the objects that do so.
/// </summary>
/// <remarks>
/// Small writes gather in the <see cref="ZoneCache"/>, the drive's volatile cache. A flush drains it, makes data and tables
/// durable, and only then writes the pointers as they were when it began (<see cref="ZoneTableStage"/>). A reset writes the
/// pointers first (<see cref="ZoneResets"/>).
/// </remarks>
internal sealed class ZonedImage : IQcow2Device, IZones, IRangeCopy, IUnreadableRanges
{
    private readonly Qcow2Image _image;
    private readonly ZonedState _state;
    private readonly ZoneConditions _conditions;
    private readonly ZoneExtensions _extensions;
    private readonly AttributeRestore _restore;
    private readonly ZoneAreas _areas;
    private readonly ZoneCache _cache;
    private readonly ZoneDirectFlush? _direct;
    private readonly ZoneTableSpace _tableSpace;
    private readonly ZoneReader _reader;
    private readonly ZoneWriter _writer;
    private readonly ZoneManager _manager;
    private readonly ZoneAttributes _attributes;
    private readonly ZonedResize _resize;
    private readonly ZoneLayoutChange _layout;
    private readonly ZoneTransfer _transfer;
    private readonly ZoneRangeCopy _copy;

    public ZonedImage(Qcow2Image image, ZonedState state)
    {
        var parts = image.Parts;
        _image = image;
        _state = state;
        var tables = new PaddockTables(parts.Storage, parts.Header, parts.Tables, parts.Warnings);
        _conditions = new ZoneConditions(parts.Tables, parts.Order, tables);
        _extensions = new ZoneExtensions(parts.Storage, parts.Header.Geometry, parts.InPlace, parts.Tables, parts.Order, tables);
        var tableStage = new ZoneTableStage(state, parts.ZoneData);
        var tableSpace = new ZoneTableSpace(state, parts.Locks, parts.Session, parts.Order, parts.Reservation);
        _cache = new ZoneCache(state, parts.Writer, parts.Space, image.IsReadOnly);
        _tableSpace = tableSpace;
        _direct = parts is { DataFile: null, Encryption: null, Storage: IDurableStorage { DurableBlock: > 0 } durable }
            ? new ZoneDirectFlush(
                state, parts.Header, parts.Locks, parts.Session, parts.Order, durable, parts.Storage, tableStage, tableSpace,
                parts.ZoneData)
            : null;
        _reader = new ZoneReader(state, _cache, parts.Reader, parts.Status, parts.Backing);
        _areas = new ZoneAreas(state, parts.Locks, parts.Order, tableSpace, tables, _extensions, parts.Eraser);
        _writer = new ZoneWriter(state, parts.Session, tableSpace, _cache, _areas, parts.Writer, parts.Zeroes, parts.Storage);
        _copy = new ZoneRangeCopy(state, _cache, _writer, parts.Session, parts.Copier, parts.Zeroes, parts.Unreadable);
        var resets = new ZoneResets(state, parts.Locks, tableStage, tableSpace, _extensions, parts.Eraser, parts.Storage);
        _manager = new ZoneManager(state, parts.Session, tableSpace, _cache, _writer, resets, _areas, parts.Eraser);
        _attributes = new ZoneAttributes(
            state, parts.Locks, parts.Session, parts.Order, _cache, _writer, tableStage, tables, _conditions, _extensions, _areas);
        _resize = new ZonedResize(state, _cache, _areas, parts.Session, parts.Flush, parts.Resize, parts.Guard);
        _layout = new ZoneLayoutChange(state, parts.Session, _resize, parts.Header, parts.Storage);
        _transfer = new ZoneTransfer(
            state, parts.Locks, parts.Session, parts.Order, _cache, tableSpace, tables, _conditions, _extensions);

        _restore = new AttributeRestore(state, parts.Storage, parts.Header, tables, parts.Order, _conditions, _extensions);
        parts.Snapshots.Zones = new ZoneSnapshots(
            state, _cache, parts.Storage, parts.Header.Geometry, parts.Tables, parts.Guard, tables, _conditions, _extensions, _restore);

        parts.Order.Register(FlushPlace.ZoneAttributes, new ZoneAttributeStage(tables, _extensions, _restore));
        parts.Order.Register(FlushPlace.ZoneTable, tableStage);
        parts.Session.Require(IncompatibleFeatures.Zoned);
        parts.Guard.Map.SetRange(MetadataKind.ZoneTable, state.Table.Offset, state.Table.Stored.Length);
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
    public IStorage? DataFile => _image.DataFile;

    /// <inheritdoc/>
    public IReadOnlyList<string> Warnings => _image.Warnings;

    /// <inheritdoc/>
    public IQcow2Bitmaps Bitmaps => _image.Bitmaps;

    /// <inheritdoc/>
    public IQcow2Snapshots Snapshots => _image.Snapshots;

    /// <inheritdoc/>
    public IZones Zones => this;

    /// <inheritdoc/>
    public IRangeCopy RangeCopy => this;

    /// <inheritdoc/>
    public IUnreadableRanges? UnreadableRanges => _image.Parts.Unreadable.IsPossible ? this : null;

    /// <inheritdoc/>
    object IRangeCopy.Disk => this;

    /// <inheritdoc/>
    long IRangeCopy.Start => 0;

    /// <inheritdoc/>
    ZonedLimits IZones.Limits => _state.Zones.Limits;

    /// <inheritdoc/>
    public IZoneAttributes Attributes => _attributes;

    /// <inheritdoc/>
    public Qcow2ImageInfo Info => _image.Info with
    {
        Zoned = new ZonedImageInfo(
            _state.Parameters.Layout, _state.Zones.Limits, _state.Table.Offset.Value, _state.Table.Stored.Length)
        {
            TableInForeignOrder = _state.Table.Format != ZoneTableFormat.Of(_state.Parameters.Layout),
            ReadOnlyZones = Count(zone => _conditions[zone] == ZoneCondition.ReadOnly),
            OfflineZones = Count(zone => _state.Zones.ConditionOf(zone) == ZoneCondition.Offline),
            ExtendedZones = Count(_state.Zones.IsExtended),
            ExtensionBytes = _extensions.Bytes,
            RandomAreas = _state.Zones.RandomAreaCount,
        },
    };

    /// <summary>
    /// The disk under the zones, without their rules: what a commit or a rebase writes. Reads show what lies beyond write pointers.
    /// </summary>
    public IBlockDevice BelowZones => _image;

    /// <summary>What the zones are, to be taken over by another image.</summary>
    public ValueTask<ZoneContents[]> ReadZonesAsync(CancellationToken cancellationToken) => _transfer.ReadAsync(cancellationToken);

    /// <summary>Takes over the zones of another image.</summary>
    public ValueTask TakeZonesAsync(IReadOnlyList<ZoneContents> zones, CancellationToken cancellationToken)
        => _transfer.WriteAsync(zones, cancellationToken);

    /// <summary>Takes what zones have beside their pointers from the record of a snapshot that is read.</summary>
    public void TakeAttributes(ZoneRecord record)
    {
        _extensions.TakeRecord(record, _state.Zones);
        _conditions.TakeRecord(record, _state.Zones);
    }

    /// <summary>
    /// After a crash: moves data that were durable behind the zone table to their clusters. Closing the image clears the feature bit.
    /// </summary>
    public async ValueTask SettleDataAsync(CancellationToken cancellationToken)
    {
        await _image.Parts.Session.StartAsync();
        if (_state.Table.MayHaveRecord)
        {
            await _tableSpace.PrepareAsync();
            await _cache.DrainAllAsync(cancellationToken);
            await _image.FlushAsync(cancellationToken);
        }
    }

    /// <summary>Reads what zones have beside their pointers, once, when the image is opened.</summary>
    public async ValueTask LoadAttributesAsync(CancellationToken cancellationToken)
    {
        var record = await _restore.FindAsync(cancellationToken);
        if (record is not null && IsReadOnly)
        {
            TakeAttributes(record);
            _copy.ForgetAbovePointers();
            return;
        }

        await _extensions.LoadAsync(_state.Zones, cancellationToken);
        await _conditions.LoadAsync(_state.Zones, cancellationToken);

        // random write areas, whose blocks above the pointer count, are known now
        _copy.ForgetAbovePointers();
        if (!IsReadOnly && _restore.IsAnnounced)
        {
            await _image.Parts.Session.StartAsync();
            await _image.Parts.Locks.WithMetadataAsync(() => _restore.EndInterruptedAsync(record));
        }
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _reader.ReadAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => _reader.GetStatusAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        var written = _writer.WriteAsync(offset, data, cancellationToken);
        return (flags & WriteFlags.Fua) == 0 ? written : FlushAfterAsync(written, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
    {
        var appended = _writer.AppendAsync(zoneStart, data, observer, cancellationToken);
        return (flags & WriteFlags.Fua) == 0 ? appended : FlushAfterAsync(appended, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        var written = _writer.WriteZeroesAsync(offset, length, flags & ~ZeroFlags.Fua, cancellationToken);
        return (flags & ZeroFlags.Fua) == 0 ? written : FlushAfterAsync(written, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask WriteCompressedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "a zoned image takes no compressed writes");

    /// <inheritdoc/>
    public ValueTask ReadVmStateAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => _image.ReadVmStateAsync(offset, buffer, cancellationToken);

    /// <inheritdoc/>
    public ValueTask WriteVmStateAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => _image.WriteVmStateAsync(offset, data, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        lock (_state.Lock)
        {
            var result = _state.Zones.CheckDiscard(offset, length);
            if (!result.IsOk)
            {
                throw _state.Refuse(result, "discard", offset, length);
            }
        }

        long inConventional = Math.Min(Math.Min(Length, _state.ConventionalEnd), offset + length) - offset;
        if (inConventional > 0)
        {
            await _image.DiscardAsync(offset, inConventional, cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        => _copy.CopyAsync(source, offset, length, cancellationToken);

    /// <inheritdoc/>
    ValueTask IUnreadableRanges.AddAsync(long offset, long length, CancellationToken cancellationToken)
        => _copy.MakeUnreadableAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (_direct is null || !await _direct.TryAsync())
        {
            await _cache.DrainAllAsync(cancellationToken);
            await _image.FlushAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
        => _manager.ManageAsync(action, offset, length, cancellationToken);

    /// <inheritdoc/>
    public ValueTask CommitAsync(long position, CancellationToken cancellationToken = default) => _manager.CommitAsync(position);

    /// <inheritdoc/>
    public ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => _image.Parts.Locks.WithStructureAsync(() => _resize.ResizeAsync(length, preallocation, cancellationToken));

    /// <inheritdoc/>
    public ValueTask SetBackingFileAsync(string? name, string? format, CancellationToken cancellationToken = default)
        => _image.SetBackingFileAsync(name, format, cancellationToken);

    /// <inheritdoc/>
    public ValueTask EmptyAsync(CancellationToken cancellationToken = default)
        => _image.Parts.Locks.WithStructureAsync(() => EmptyAllAsync(cancellationToken));

    /// <inheritdoc/>
    public void CheckAmendOptions(Qcow2AmendOptions options) => _image.CheckAmendOptions(options);

    /// <inheritdoc/>
    public async ValueTask AmendAsync(Qcow2AmendOptions options, Action<long, long>? progress = null)
    {
        await _cache.DrainAllAsync(CancellationToken.None);
        await _image.AmendAsync(options, progress);
    }

    /// <inheritdoc/>
    public ValueTask SetZoneLayoutAsync(ZoneLayout layout, CancellationToken cancellationToken = default)
        => _image.Parts.Locks.WithStructureAsync(() => _layout.RunAsync(layout, cancellationToken));

    /// <inheritdoc/>
    public ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
    {
        lock (_state.Lock)
        {
            return ValueTask.FromResult(_state.Zones.Report(offset, zones.Span));
        }
    }

    /// <inheritdoc/>
    public ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
    {
        lock (_state.Lock)
        {
            return ValueTask.FromResult(_state.Zones.Find(offset, which, zones.Span, count));
        }
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _image.ThrowIfFlushFailed();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!IsReadOnly)
            {
                await _cache.DrainAllAsync(CancellationToken.None);
            }
        }
        finally
        {
            await _image.DisposeAsync();
        }
    }

    private async ValueTask EmptyAllAsync(CancellationToken cancellationToken)
    {
        await _state.AcquireAsync(0, long.MaxValue);
        try
        {
            await _cache.DrainAllHeldAsync(cancellationToken);
            await _image.Parts.Emptying.RunAsync();
        }
        finally
        {
            _state.Release(0, long.MaxValue);
        }
    }

    private async ValueTask<long> FlushAfterAsync(ValueTask<long> appended, CancellationToken cancellationToken)
    {
        long offset = await appended;
        await FlushAsync(cancellationToken);
        return offset;
    }

    private async ValueTask FlushAfterAsync(ValueTask written, CancellationToken cancellationToken)
    {
        await written;
        await FlushAsync(cancellationToken);
    }

    private int Count(Func<int, bool> belongs)
    {
        lock (_state.Lock)
        {
            return Enumerable.Range(0, _state.Zones.Count).Count(belongs);
        }
    }
}
