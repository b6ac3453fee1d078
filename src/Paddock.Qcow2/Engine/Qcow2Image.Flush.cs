using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

// the order in which tables reach the storage
public sealed partial class Qcow2Image
{
    /// <summary>
    /// True when dirty L2 entries may point at data, or need counts, that no successful flush has covered. Under the metadata mutex.
    /// </summary>
    private bool _barrierDue;

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (!Volatile.Read(ref _writing))
        {
            _storage.ThrowIfFlushFailed();
            return;
        }

        EnsureWritable();
        await _meta.AcquireAsync();
        try
        {
            await FlushLockedAsync();
        }
        finally
        {
            _meta.Release();
        }
    }

    /// <summary>Flushes everything. Under the metadata mutex.</summary>
    internal async ValueTask FlushLockedAsync()
    {
        await _storage.OnEventAsync("flush_to_os");
        CaptureZonePointers?.Invoke();
        if (PrepareZonePointers is not null)
        {
            await PrepareZonePointers();
        }

        await WriteBackTablesAsync();
        if (_dirtyL1.Count > 0)
        {
            await _storage.FlushAsync();
            await WriteL1Async();
        }

        await _storage.OnEventAsync("flush_to_disk");
        await _storage.FlushAsync();
        if (WriteZonePointers is not null && await WriteZonePointers())
        {
            await _storage.FlushAsync();
        }

        if (_refcounts.PendingFreeClusters > 0)
        {
            await _refcounts.ApplyFreesAsync();
        }

        if (!KeepsFreedSpace && _refcounts.HoldsFreedSpace)
        {
            await _refcounts.PunchDueAsync(PunchBytesAFlush);
        }
    }

    /// <summary>Counts and L2 tables, with the barrier between them, which covers new data too. Under the metadata mutex.</summary>
    private async ValueTask WriteBackTablesAsync()
    {
        await _inPlace.SettleAsync();
        if (!LazyRefcounts && _refcounts.HasDirty)
        {
            _barrierDue = true;
            await _refcounts.WriteBackAsync();
        }

        // entries must not outlive what they point at: with lazy counts, or a zero cluster put to use again, no count went up, and what was
        // copied around the client's data (durable before) would be lost with the copy
        if (_barrierDue && (_l2.HasDirty || _dirtyL1.Count > 0))
        {
            await _storage.OnEventAsync("flush_to_disk");
            await _storage.FlushAsync();

            // not before: after a flush that failed, the next one must not write the entries without their data
            _barrierDue = false;
        }

        _refcounts.TablesReachStorage();
        await _l2.WriteBackAsync();
    }

    private async ValueTask WriteL1Async()
    {
        // a sector at a time: entries beside a changed one are as they were
        const int PerSector = 64;
        var bytes = new byte[PerSector * 8];
        int lastSector = -1;
        foreach (int index in _dirtyL1)
        {
            int sector = index / PerSector;
            if (sector == lastSector)
            {
                continue;
            }

            lastSector = sector;
            int count = Math.Min(PerSector, _l1.Length - (sector * PerSector));
            for (int i = 0; i < count; i++)
            {
                BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), _l1[(sector * PerSector) + i]);
            }

            await _storage.OnEventAsync("l1_update");
            await _storage.WriteAsync((long)_header.L1Offset + ((long)sector * PerSector * 8), bytes.AsMemory(0, count * 8));
        }

        _dirtyL1.Clear();
    }

    private async ValueTask CloseTablesAsync()
    {
        await _meta.AcquireAsync();
        try
        {
            await FlushLockedAsync();
            await _refcounts.PunchAllAsync();
            await _refcounts.WriteBackAsync();
            if ((_header.Incompatible & IncompatibleFeatures.Dirty) != 0)
            {
                await _storage.FlushAsync();
                await WriteHeaderAsync(_header with { Incompatible = _header.Incompatible & ~IncompatibleFeatures.Dirty });
            }

            await _storage.FlushAsync();
        }
        finally
        {
            _meta.Release();
        }
    }
}
