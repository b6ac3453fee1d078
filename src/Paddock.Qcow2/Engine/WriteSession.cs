using System.Diagnostics;
using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Whether an image may be written, and the start of writing: the first change of a session loads what only writers need and sets
/// the feature bits that a writer must set.
/// </summary>
internal sealed class WriteSession(
    IStorage storage, ImageHeader header, DataLayer data, EngineLocks locks, MetadataGuard guard, L1Table l1, Refcounts counts,
    SnapshotDirectory snapshots, FreedSpaceUpkeep upkeep, BitmapStore bitmaps, UnreadableRanges unreadable, bool isReadOnly, bool isLazy)
{
    private IncompatibleFeatures _required;
    private readonly DirtyRecorder _recorder = bitmaps.Recorder;
    private bool _isOpen, _marksAll;
    private volatile bool _hasEnded;

    /// <summary>Whether the image is open for reading only.</summary>
    public bool IsReadOnly => isReadOnly;

    /// <summary>True after the first change.</summary>
    public bool IsOpen => Volatile.Read(ref _isOpen);

    /// <summary>A feature bit that the first write sets: programs that do not know the feature must not write the image.</summary>
    public void Require(IncompatibleFeatures features) => _required |= features;

    /// <summary>Refuses a change of an image that is corrupt, or whose last flush may have lost data.</summary>
    public void EnsureWritable()
    {
        if (guard.HasFailed)
        {
            throw new BlockException(BlockError.NoMedium, "the image is corrupt and closed for writing");
        }

        if (_hasEnded)
        {
            throw new BlockException(BlockError.NoMedium, "the image has been rewritten: it must be opened again to be written");
        }

        Debug.Assert(!isReadOnly, "CheckedDevice refuses changes of an image that is open for reading only");
        storage.ThrowIfFlushFailed();
        if (data.IsExternal)
        {
            data.ThrowIfFlushFailed();
        }
    }

    /// <summary>Refuses changes from now on, and leaves nothing to be written when the image is closed.</summary>
    public void End()
    {
        _hasEnded = true;
        Volatile.Write(ref _isOpen, false);
    }

    /// <summary>The same for a change of a range: the image can record which blocks are readable after it.</summary>
    /// <exception cref="BlockException">It cannot be written, or has too many unreadable ranges.</exception>
    public void EnsureWritable(GuestOffset offset, long length)
    {
        EnsureWritable();
        if (unreadable.HasAny)
        {
            unreadable.ThrowIfFull(offset, length);
        }
    }

    /// <summary>Before each change.</summary>
    public ValueTask StartAsync() => IsOpen ? default : OpenAsync();

    /// <summary>Whether blocks of the disk can be changed without <see cref="StartChangeAsync"/>.</summary>
    public bool IsReady => IsOpen && !unreadable.NeedsSpare;

    /// <summary>Before each change of blocks of the disk.</summary>
    public async ValueTask StartChangeAsync()
    {
        await StartAsync();
        if (unreadable.NeedsSpare)
        {
            await unreadable.ReserveAsync();
        }
    }

    /// <summary>Records a change of the disk in its bitmaps, when it has ended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Record(GuestOffset offset, long length) => _recorder.Record(offset, length);

    /// <summary>A range was written as a whole: it can be read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MakeReadable(GuestOffset offset, long length)
    {
        if (unreadable.HasAny)
        {
            unreadable.Written(offset, length);
        }
    }

    /// <summary>
    /// Begins the session of an image whose bitmaps are to be marked in use before the first change, all of them, as QEMU does.
    /// </summary>
    public ValueTask StartEarlyAsync()
    {
        _marksAll = true;
        return StartAsync();
    }

    private async ValueTask OpenAsync()
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            if (_isOpen)
            {
                return;
            }

            var fields = header.Fields;
            var tableOffset = new HostOffset((long)fields.RefcountTableOffset);
            await counts.LoadTableAsync(tableOffset, fields.RefcountTableClusters, CancellationToken.None);
            RegisterTables();
            await snapshots.RegisterL2Async();
            await bitmaps.BeginAsync(_marksAll);
            fields = header.Fields;
            if (header.HasVersion3)
            {
                fields = fields with
                {
                    Autoclear = fields.Autoclear
                        & (AutoclearFeatures.RawExternalData | (bitmaps.HasDirectory ? AutoclearFeatures.Bitmaps : AutoclearFeatures.None)
                            | unreadable.Feature),
                    Incompatible = fields.Incompatible | _required | (isLazy ? IncompatibleFeatures.Dirty : IncompatibleFeatures.None),
                };
            }

            if (fields != header.Fields)
            {
                await header.PutAsync(fields);
            }

            upkeep.Start();
            Volatile.Write(ref _isOpen, true);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private void RegisterTables()
    {
        foreach (var table in l1.Tables)
        {
            if (!table.IsNone)
            {
                guard.Map.Set(header.Geometry.ClusterOf(table), MetadataKind.ActiveL2);
            }
        }

        snapshots.Register();
        foreach (var block in counts.Blocks)
        {
            guard.Map.Set(header.Geometry.ClusterOf(block), MetadataKind.RefcountBlock);
        }
    }
}
