using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Ranges of the disk that cannot be read until they are written (docs/formats/paddock-extension.md). A range is added durably, before
/// anything else of the request. One that was written leaves the table with the next flush, behind the data: a crash before it leaves
/// the range unreadable.
/// </summary>
/// <remarks>
/// The table counts while an autoclear feature bit is set: a program that does not know it clears the bit before it writes. Changed under
/// the image's metadata mutex; what was written is recorded at any time.
/// </remarks>
internal sealed class UnreadableRanges(
    IStorage storage, ImageHeader header, EngineLocks locks, FlushOrder order, ImageTables tables, BlocksHeader blocks,
    List<string> warnings) : IFlushStage
{
    private const int MaxAdded = 256;

    private readonly Lock _lock = new();
    private volatile RangeSet _now = RangeSet.Empty;
    private RangeSet _stored = RangeSet.Empty, _flushed = RangeSet.Empty;

    // clusters for the next table, so that a flush finds a place on a full file system; the table before it is the next spare
    private HostClusters _spare;
    private long _spareBytes;

    /// <summary>Whether the image can keep ranges.</summary>
    public bool IsPossible => header.HasVersion3 && blocks.IsKnown;

    /// <summary>Whether there is any.</summary>
    public bool HasAny => !_now.IsEmpty;

    /// <summary>The feature bits that this image's writer keeps.</summary>
    public AutoclearFeatures Feature
        => blocks.IsKnown && !_stored.IsEmpty ? AutoclearFeatures.UnreadableRanges : AutoclearFeatures.None;

    /// <inheritdoc/>
    public bool IsDue => !ReferenceEquals(_flushed, _stored);

    /// <inheritdoc/>
    public void Begin() => _flushed = _now;

    /// <summary>In a flush: everything that refers to data has been written, and becomes durable before the table.</summary>
    public ValueTask WriteAsync() => StoreAsync(_flushed);

    /// <summary>Reads the table, once, when the image is opened.</summary>
    public async ValueTask LoadAsync(CancellationToken cancellationToken)
    {
        var (_, count, offset) = blocks.Extension;
        if (offset.IsNone || (header.Fields.Autoclear & AutoclearFeatures.UnreadableRanges) == 0)
        {
            return;
        }

        long bytes = UnreadableTable.SizeOf(count);
        var table = new byte[bytes];
        string? problem = tables.IsMetadata(offset, bytes) ? "it overlaps other metadata" : null;
        List<UnreadableRange>? ranges = null;
        if (problem is null)
        {
            await storage.ReadAsync(offset.Value, table, cancellationToken);
            ranges = UnreadableTable.TryParse(table, out problem);
        }

        if (ranges is null)
        {
            warnings.Add($"the table of unreadable ranges at {offset} is ignored: {problem} (check -r all removes it)");
            return;
        }

        tables.Register(offset, bytes);
        _stored = _flushed = new RangeSet([.. ranges]);
        _now = _stored;
        Trim(header.VirtualSize);
    }

    /// <summary>The first part of a range that cannot be read; null: all of it can.</summary>
    public UnreadableRange? Find(GuestOffset offset, long length) => _now.Find(offset.Value, offset.Value + length);

    /// <summary>Throws if a part of a range cannot be read.</summary>
    public void ThrowIfIn(GuestOffset offset, long length)
    {
        if (!_now.IsEmpty && Find(offset, length) is { } range)
        {
            throw new BlockException(
                BlockError.Unreadable,
                $"bytes {range.Start} to {range.End - 1} of the disk were made unreadable: they must be written first");
        }
    }

    /// <summary>Whether a change of the disk must wait for <see cref="ReserveAsync"/>.</summary>
    public bool NeedsSpare => HasAny && blocks.IsKnown && Volatile.Read(ref _spareBytes) < NextBytes();

    /// <summary>
    /// Takes the clusters of the table that a later flush stores, so that a full file system cannot keep accepted data from becoming
    /// durable.
    /// </summary>
    /// <exception cref="BlockException">No space is left.</exception>
    public ValueTask ReserveAsync() => locks.WithMetadataAsync(TakeSpareAsync);

    /// <summary>Frees the clusters of the next table with the next flush: the image is about to be closed.</summary>
    /// <returns>Whether there were any.</returns>
    public bool FreeSpare()
    {
        bool had = _spare.Count > 0;
        if (had)
        {
            tables.Free(_spare);
            SetSpare(default);
        }

        return had;
    }

    /// <summary>Before a write that would divide a range when the image keeps no more of them.</summary>
    /// <exception cref="BlockException">It would.</exception>
    public void ThrowIfFull(GuestOffset offset, long length)
    {
        var now = _now;
        if (now.Ranges.Count >= UnreadableTable.MaxRanges && now.Divides(offset.Value, offset.Value + length))
        {
            throw new BlockException(
                BlockError.NoSpace,
                $"the image has {now.Ranges.Count} unreadable ranges, and keeps {UnreadableTable.MaxRanges}: a write at {offset} would "
                + "divide one; write a whole range");
        }
    }

    /// <summary>A range was written: whole sectors can be read again.</summary>
    public void Written(GuestOffset offset, long length)
    {
        const long mask = UnreadableTable.Unit - 1;
        Remove((offset.Value + mask) & ~mask, (offset.Value + length) & ~mask);
    }

    /// <summary>The disk ends here.</summary>
    public void Trim(long length) => Remove(length, long.MaxValue);

    /// <summary>Makes a range unreadable, durably.</summary>
    /// <exception cref="BlockException">
    /// The range is not of whole sectors; there would be more ranges than the image keeps; or writing failed.
    /// </exception>
    public ValueTask AddAsync(GuestOffset offset, long length) => locks.WithMetadataAsync(async () =>
    {
        long start = offset.Value, end = start + length;
        if (((start | end) & (UnreadableTable.Unit - 1)) != 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"offset {start} and length {length} are no multiples of {UnreadableTable.Unit}");
        }

        // what was written since the last flush stays in the table: its data may not be durable
        var next = _stored.With(start, end);
        if (next.Ranges.Count > UnreadableTable.MaxRanges)
        {
            throw new BlockException(
                BlockError.NoSpace, $"the image has {_stored.Ranges.Count} unreadable ranges, and keeps {UnreadableTable.MaxRanges}: "
                + "write some of them, or flush if that was done");
        }

        var before = _stored;
        await StoreAsync(next);
        lock (_lock)
        {
            _now = ReferenceEquals(_now, before) ? next : _now.With(start, end);
        }
    });

    private void Remove(long start, long end)
    {
        if (_now.IsEmpty)
        {
            return;
        }

        lock (_lock)
        {
            _now = _now.Without(start, end);
        }
    }

    private async ValueTask StoreAsync(RangeSet next)
    {
        if (!blocks.IsKnown)
        {
            return;
        }

        var old = blocks.Extension;
        bool isOurs = !_stored.IsEmpty;
        HostOffset offset = default;
        bool hasSpare = false;
        if (!next.IsEmpty)
        {
            var table = UnreadableTable.Build(next.Ranges);
            hasSpare = table.Length <= _spareBytes;
            offset = await (hasSpare ? tables.PlaceAtAsync(_spare, table) : tables.PlaceAsync(table));
            await order.WriteTablesAsync();
        }

        await order.BarrierAsync();
        if (hasSpare)
        {
            long used = tables.ClustersOf(offset, UnreadableTable.SizeOf((uint)next.Ranges.Count)).Count;
            if (used < _spare.Count)
            {
                tables.Free(new HostClusters(_spare.First + used, _spare.Count - used));
            }

            // if the header cannot be written, it may name the table all the same
            SetSpare(default);
        }

        await blocks.PutAsync(old with { Ranges = (uint)next.Ranges.Count, RangesOffset = offset });
        if (!next.IsEmpty && (header.Fields.Autoclear & AutoclearFeatures.UnreadableRanges) == 0)
        {
            await header.PutAsync(header.Fields with { Autoclear = header.Fields.Autoclear | AutoclearFeatures.UnreadableRanges });
        }

        if (isOurs && hasSpare)
        {
            SetSpare(tables.ClustersOf(old.RangesOffset, UnreadableTable.SizeOf(old.Ranges)));
        }
        else if (isOurs)
        {
            tables.Free(old.RangesOffset, UnreadableTable.SizeOf(old.Ranges));
        }

        if (next.IsEmpty)
        {
            FreeSpare();
        }

        _stored = next;
    }

    private async ValueTask TakeSpareAsync()
    {
        long bytes = NextBytes();
        if (_spareBytes < bytes)
        {
            var larger = await tables.ReserveAsync(bytes);
            FreeSpare();
            SetSpare(larger);
        }
    }

    private void SetSpare(HostClusters clusters)
    {
        _spare = clusters;
        Volatile.Write(ref _spareBytes, tables.BytesOf(clusters));
    }

    // with ranges that requests in flight may add, since they divide others
    private long NextBytes() => UnreadableTable.SizeOf((uint)Math.Min(UnreadableTable.MaxRanges, _now.Ranges.Count + MaxAdded));
}
