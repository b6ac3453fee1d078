using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>
/// The persistent bitmaps of an open image and their directory. Before the first change of a session, the bitmaps that record are
/// loaded and marked in use, durably; when the image is closed they are stored. After a crash between the two they are inconsistent.
/// Under the image's metadata mutex.
/// </summary>
internal sealed class BitmapStore(
    IStorage storage, ImageHeader header, InPlaceWrites inPlace, FlushOrder order, MetadataGuard guard, BitmapData data,
    List<string> warnings)
{
    private BitmapExtension? _directory;
    private bool _hasBegun, _rewritesTables;
    // of the bitmaps whose bits are in memory
    private long _loadedBytes;

    /// <summary>The bitmaps, in the order of the directory.</summary>
    public PersistentBitmap[] All { get; private set; } = [];

    /// <summary>Records changes in the bitmaps that are enabled.</summary>
    public DirtyRecorder Recorder { get; } = new();

    /// <summary>Whether the image has an extension that another program has made worthless.</summary>
    public bool IsStale { get; private set; }

    /// <summary>Whether the header names a directory.</summary>
    public bool HasDirectory => _directory is not null;

    /// <summary>Reads the directory.</summary>
    /// <exception cref="BlockException">The extension or the directory is invalid.</exception>
    public async ValueTask ReadAsync(TableBudget? budget, CancellationToken cancellationToken)
    {
        if (header.Find(HeaderExtension.Bitmaps) is not { } extension)
        {
            return;
        }

        if ((header.Fields.Autoclear & AutoclearFeatures.Bitmaps) == 0)
        {
            IsStale = true;
            const string Advice = "Some clusters may be leaked, run 'qemu-img check -r' on the image file to fix.";
            warnings.Add((header.HasVersion3
                ? "a program lacking bitmap support modified this file, so all bitmaps are now considered inconsistent\n"
                : "This qcow2 v2 image contains bitmaps, but they may have been modified by a program without persistent bitmap support; "
                    + "so now they must all be considered inconsistent\n") + Advice);
            return;
        }

        var directory = BitmapExtension.Parse(extension.Data, header.Geometry);
        budget?.Take(directory.Bytes);
        var entries = await BitmapDirectory.ReadAsync(storage, directory, header.Fields, cancellationToken);
        All = [.. entries.Select(static e => new PersistentBitmap(e))];
        Name(directory);
    }

    /// <summary>Why an inconsistent bitmap cannot be used.</summary>
    public static string InconsistentText(string name)
        => $"Bitmap '{name}' is inconsistent and cannot be used\nTry block-dirty-bitmap-remove to delete this bitmap from disk";

    /// <summary>Why a bitmap of a disk of this size cannot be on the storage; null if it can.</summary>
    public string? WhyNotStored(long diskSize, int granularityBits)
    {
        long bytes = DirtyBits.BytesFor(diskSize, granularityBits);
        return bytes == 0 ? "A disk of 0 bytes has no bitmap"
            : bytes > Qcow2Limits.MaxBitmapBytes || header.Geometry.ClustersFor(bytes) > Qcow2Limits.MaxBitmapTableEntries
                ? "Too much space will be occupied by the bitmap. Use larger granularity"
            : null;
    }

    /// <summary>The bitmap of a name; null without one.</summary>
    public PersistentBitmap? Find(string name) => Array.Find(All, b => b.Name == name);

    /// <summary>
    /// Before the first change of a session: loads the bitmaps that record, and marks them in use, durably. Those that cannot be read
    /// are inconsistent from then on.
    /// </summary>
    /// <param name="all">
    /// As QEMU does: those that do not record are loaded and marked too, and all are written whole, changed or not, so that the file is as
    /// large as one that its tools wrote, and has the same layout.
    /// </param>
    public async ValueTask BeginAsync(bool all)
    {
        if (IsStale)
        {
            await header.RemoveAsync(HeaderExtension.Bitmaps);
            IsStale = false;
        }

        foreach (var bitmap in All.Where(b => (all || b.IsEnabled) && !b.IsInconsistent))
        {
            await TryLoadAsync(bitmap);
        }

        await MarkAsync(b => all || b.IsEnabled || b.IsInconsistent);
        _rewritesTables = all;
        _hasBegun = true;
        UseEnabled();
    }

    /// <summary>Reads the bits of a bitmap that is not inconsistent.</summary>
    public async ValueTask<DirtyBits> LoadAsync(PersistentBitmap bitmap)
    {
        if (bitmap.Bits is null)
        {
            CheckMemory(bitmap);
            await data.LoadAsync(bitmap, CancellationToken.None);
            _loadedBytes += BytesOf(bitmap);
        }

        return bitmap.Bits!;
    }

    /// <summary>Starts or stops the recording of a bitmap. One that records is marked in use first, durably.</summary>
    public async ValueTask SetEnabledAsync(PersistentBitmap bitmap, bool enabled)
    {
        if (enabled)
        {
            await LoadAsync(bitmap);
            await MarkAsync(b => b == bitmap);
        }

        bitmap.IsEnabled = enabled;
        UseEnabled();
    }

    /// <summary>Adds a bitmap, which is on the storage when the image is closed.</summary>
    public void Add(PersistentBitmap bitmap)
    {
        CheckMemory(bitmap);
        _loadedBytes += BytesOf(bitmap);
        All = [.. All, bitmap];
        UseEnabled();
    }

    /// <summary>Removes a bitmap, from the storage too, and frees its clusters.</summary>
    public async ValueTask RemoveAsync(PersistentBitmap bitmap)
    {
        if (bitmap.Stored is { } stored)
        {
            var clusters = await data.ClustersOfAsync(stored, CancellationToken.None);
            await PublishAsync([.. All.Where(b => b != bitmap && b.Stored is not null).Select(static b => b.Stored!)]);
            data.Free(clusters);
        }

        All = [.. All.Where(b => b != bitmap)];
        CountLoaded();
        UseEnabled();
    }

    /// <summary>Before the size of the disk changes: marks all bitmaps in use, since their tables do not fit it any more.</summary>
    /// <param name="length">The new size.</param>
    /// <exception cref="BlockException">One is inconsistent, cannot be read, or is not possible with that size.</exception>
    public async ValueTask PrepareResizeAsync(long length)
    {
        CheckSizes(length);
        foreach (var bitmap in All)
        {
            if (bitmap.IsInconsistent)
            {
                throw new BlockException(BlockError.NotSupported, InconsistentText(bitmap.Name));
            }

            await LoadAsync(bitmap);
        }

        await MarkAsync(static _ => true);
    }

    /// <summary>The disk has another size.</summary>
    public void Resize(long length)
    {
        foreach (var bitmap in All)
        {
            bitmap.Bits?.Resize(length);
        }

        CountLoaded();
    }

    /// <summary>
    /// Stores the bitmaps of a session that ends: new tables in free clusters, then everything durable, then the directory.
    /// </summary>
    /// <exception cref="BlockException">A bitmap could not be written. All of the session's stay in use.</exception>
    public async ValueTask StoreAsync()
    {
        if (!_hasBegun || (All.Length == 0 && !HasDirectory))
        {
            // without bitmaps none can be lost
            return;
        }

        storage.ThrowIfFlushFailed();
        Recorder.Use([]);
        var replaced = new List<HostClusters>();
        var next = new List<(PersistentBitmap Bitmap, BitmapEntry Entry, ulong[]? Table)>();
        var fresh = new List<HostClusters>();
        try
        {
            foreach (var bitmap in All)
            {
                var table = bitmap.IsInconsistent ? null : await data.WriteAsync(bitmap, _rewritesTables);
                replaced.AddRange(table?.Replaced ?? []);
                fresh.AddRange(table?.Fresh ?? []);
                next.Add((bitmap, EntryOf(bitmap, table), table?.Entries));
            }

            await PublishForSessionAsync(next.ConvertAll(static n => n.Entry));
        }
        catch (BlockException)
        {
            data.Free(fresh);
            throw;
        }

        foreach (var (bitmap, entry, table) in next)
        {
            bitmap.Stored = entry;
            bitmap.Table = table ?? bitmap.Table;
            bitmap.Bits?.MarkStored();
        }

        data.Free(replaced);
        _hasBegun = false;
    }

    private static BitmapEntry EntryOf(PersistentBitmap bitmap, NextTable? table)
    {
        if (bitmap.IsInconsistent)
        {
            return bitmap.Stored! with { Flags = bitmap.Stored.Flags | BitmapFlags.InUse };
        }

        return table is null
            ? bitmap.Stored! with { Flags = bitmap.StoredFlags }
            : new BitmapEntry(
                table.Offset, (uint)table.Entries.Length, bitmap.StoredFlags, bitmap.GranularityBits, bitmap.Name, bitmap.Extra);
    }

    private async ValueTask TryLoadAsync(PersistentBitmap bitmap)
    {
        try
        {
            await LoadAsync(bitmap);
        }
        catch (BlockException e) when (e is ImageCorruptException || e.Error == BlockError.TooLarge)
        {
            if (!bitmap.IsEnabled)
            {
                // it stays as it is stored
                return;
            }

            bitmap.IsInconsistent = true;
            warnings.Add($"bitmap '{bitmap.Name}' is inconsistent from now on: {e.Message}");
        }
    }

    // a bitmap that is stored beyond its limits would keep the image from being opened
    private void CheckSizes(long length)
    {
        long all = 0;
        foreach (var bitmap in All)
        {
            long bytes = DirtyBits.BytesFor(length, bitmap.GranularityBits);
            if (WhyNotStored(length, bitmap.GranularityBits) is { } reason)
            {
                throw new BlockException(
                    BlockError.InvalidArgument,
                    $"the disk cannot have {length} bytes with bitmap '{bitmap.Name}', which must be removed first: {reason}");
            }

            all += bytes;
        }

        if (all > Qcow2Limits.MaxLoadedBitmapBytes)
        {
            throw new BlockException(
                BlockError.TooLarge,
                $"the bitmaps of a disk of {length} bytes would take {all} bytes of memory, which is more than "
                + $"{Qcow2Limits.MaxLoadedBitmapBytes}: remove one");
        }
    }

    private void CheckMemory(PersistentBitmap bitmap)
    {
        long bytes = BytesOf(bitmap) + _loadedBytes;
        if (bytes > Qcow2Limits.MaxLoadedBitmapBytes)
        {
            throw new BlockException(
                BlockError.TooLarge,
                $"the image's bitmaps take {bytes} bytes of memory, which is more than {Qcow2Limits.MaxLoadedBitmapBytes}: remove one");
        }
    }

    private long BytesOf(PersistentBitmap bitmap) => DirtyBits.BytesFor(header.VirtualSize, bitmap.GranularityBits);

    private void CountLoaded() => _loadedBytes = All.Where(static b => b.Bits is not null).Sum(BytesOf);

    private void UseEnabled()
    {
        if (_hasBegun)
        {
            var enabled = All.Where(static b => b is { IsEnabled: true, IsInconsistent: false, Bits: not null });
            Recorder.Use(enabled.Select(static b => b.Bits!));
        }
    }

    // flags alone, in place: whatever part of them reaches the storage in a crash, nothing has been changed by then
    private async ValueTask MarkAsync(Func<PersistentBitmap, bool> which)
    {
        var marked = All.Where(b => b.Stored is { IsInUse: false } && which(b)).ToHashSet();
        if (marked.Count == 0)
        {
            return;
        }

        await PutInPlaceAsync([.. All.Where(static b => b.Stored is not null)
            .Select(b => marked.Contains(b) ? InUse(b.Stored!) : b.Stored!)]);
        foreach (var bitmap in marked)
        {
            bitmap.Stored = InUse(bitmap.Stored!);
        }

        static BitmapEntry InUse(BitmapEntry entry) => entry with { Flags = entry.Flags | BitmapFlags.InUse };
    }

    private async ValueTask PublishForSessionAsync(List<BitmapEntry> entries)
    {
        try
        {
            await PublishAsync(entries);
        }
        catch (BlockException e)
        {
            throw BitmapData.Failure("Failed to update bitmap extension", e);
        }
    }

    /// <summary>Makes everything durable, then the header name a directory of these entries.</summary>
    private async ValueTask PublishAsync(List<BitmapEntry> entries)
    {
        if (_directory is { } old && HasOnlyOtherFlags(entries))
        {
            await order.RunAsync();
            await PutInPlaceAsync(entries);
            return;
        }

        if (entries.Count == 0)
        {
            await order.RunAsync();
            await NameNoneAsync();
            return;
        }

        var bytes = BitmapDirectory.Build(entries);
        var place = new NextTable([]);
        try
        {
            var offset = await data.PlaceAsync(bytes, place);
            await order.RunAsync();
            await NameAsync(new BitmapExtension((uint)entries.Count, bytes.Length, offset));
        }
        catch (BlockException)
        {
            data.Free(place.Fresh);
            throw;
        }
    }

    private bool HasOnlyOtherFlags(List<BitmapEntry> entries)
    {
        var stored = All.Where(static b => b.Stored is not null).Select(static b => b.Stored!).ToList();
        return stored.Count == entries.Count && stored.Count == _directory!.Count
            && stored.Zip(entries).All(static pair => pair.First == (pair.Second with { Flags = pair.First.Flags }));
    }

    private ValueTask PutInPlaceAsync(List<BitmapEntry> entries)
        => inPlace.WriteAsync(_directory!.Directory, BitmapDirectory.Build(entries));

    private async ValueTask NameAsync(BitmapExtension next)
    {
        var old = _directory;
        var fields = header.Fields;
        bool isWhole = header.IsInSector(HeaderExtension.Bitmaps);
        if (!isWhole && (fields.Autoclear & AutoclearFeatures.Bitmaps) != 0)
        {
            // two sectors change: while they do, the extension does not count
            await header.PutAsync(fields with { Autoclear = fields.Autoclear & ~AutoclearFeatures.Bitmaps });
        }

        await header.PutAsync(next.ToExtension());
        if ((header.Fields.Autoclear & AutoclearFeatures.Bitmaps) == 0)
        {
            await header.PutAsync(header.Fields with { Autoclear = header.Fields.Autoclear | AutoclearFeatures.Bitmaps });
        }

        Name(next);
        FreeDirectory(old);
    }

    private async ValueTask NameNoneAsync()
    {
        if (_directory is not { } old)
        {
            return;
        }

        await header.PutAsync(header.Fields with { Autoclear = header.Fields.Autoclear & ~AutoclearFeatures.Bitmaps });
        await header.RemoveAsync(HeaderExtension.Bitmaps);
        _directory = null;
        guard.Map.SetRange(MetadataKind.BitmapDirectory, default, 0);
        FreeDirectory(old);
    }

    private void Name(BitmapExtension next)
    {
        _directory = next;
        guard.Map.SetRange(MetadataKind.BitmapDirectory, next.Directory, next.Bytes);
    }

    private void FreeDirectory(BitmapExtension? directory)
    {
        if (directory is not null)
        {
            data.Free([header.Geometry.ClustersOf(directory.Directory, directory.Bytes)]);
        }
    }
}
