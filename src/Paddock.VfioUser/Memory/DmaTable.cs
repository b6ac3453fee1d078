using System.Diagnostics;
using Paddock.Nvme.Pcie;

namespace Paddock.VfioUser.Memory;

/// <summary>
/// The client's memory. The thread of messages adds and removes regions; workers copy. A copy looks its region up each time and holds it
/// for the time of <see cref="VfioUserLimits.MaxCopy"/> bytes at most, so removing a region never waits for a disk.
/// </summary>
/// <remarks>
/// QEMU replaces regions under a running guest: it removes one and adds others that cover the same memory. A copy that finds its address
/// missing right after a removal waits for a moment.
/// </remarks>
/// <param name="messages">Accesses regions that are not mapped.</param>
internal sealed class DmaTable(IDmaMessages messages) : IDeviceMemory, IDisposable
{
    private static readonly long Grace = Stopwatch.Frequency / 2;

    private readonly object _changes = new();

    // sorted by address; replaced as a whole
    private volatile DmaRegion[] _regions = [];
    private long _removedAt = -Grace;
    private volatile bool _isClosed;
    private volatile int _stops;

    /// <summary>Number of regions.</summary>
    public int Count => _regions.Length;

    /// <summary>Number of regions that are mapped here.</summary>
    public int Mappings { get; private set; }

    /// <summary>Size of the regions that are mapped here, in bytes.</summary>
    public ulong MappedBytes { get; private set; }

    /// <summary>Whether a range of addresses meets a region.</summary>
    public bool Overlaps(ulong address, ulong last)
    {
        var regions = _regions;
        int next = IndexAfter(regions, last);
        return next > 0 && regions[next - 1].Last >= address;
    }

    /// <summary>Adds a region; the caller has checked that it overlaps none.</summary>
    public void Add(DmaRegion region)
    {
        var regions = _regions;
        int at = IndexAfter(regions, region.Address);
        _regions = [.. regions[..at], region, .. regions[at..]];
        MappedBytes += region.IsMapped ? region.Length : 0;
        Mappings += region.IsMapped ? 1 : 0;
        lock (_changes)
        {
            Monitor.PulseAll(_changes);
        }
    }

    /// <summary>Removes a region and waits for the copies in progress.</summary>
    /// <returns>False if no region has exactly this range.</returns>
    public bool TryRemove(ulong address, ulong length)
    {
        var regions = _regions;
        int at = IndexAfter(regions, address) - 1;
        if (at < 0 || regions[at].Address != address || regions[at].Length != length)
        {
            return false;
        }

        Volatile.Write(ref _removedAt, Stopwatch.GetTimestamp());
        _regions = [.. regions[..at], .. regions[(at + 1)..]];
        MappedBytes -= regions[at].IsMapped ? length : 0;
        Mappings -= regions[at].IsMapped ? 1 : 0;
        regions[at].End();
        return true;
    }

    /// <summary>Removes all regions and waits for the copies in progress.</summary>
    public void Clear()
    {
        Volatile.Write(ref _removedAt, Stopwatch.GetTimestamp());
        var regions = _regions;
        _regions = [];
        MappedBytes = 0;
        Mappings = 0;
        foreach (var region in regions)
        {
            region.End();
        }
    }

    /// <inheritdoc/>
    public bool TryRead(ulong address, Span<byte> to)
    {
        while (to.Length > 0)
        {
            if (_stops > 0 || (RegionAt(address) ?? WaitForRegion(address)) is not { IsReadable: true } region)
            {
                return false;
            }

            int count = CountIn(region, address, to.Length);
            if (!region.IsMapped)
            {
                if (!messages.TryRead(address, to[..count]))
                {
                    return false;
                }
            }
            else if (region.Read(address, to[..count]) is not CopyResult.Done and var result)
            {
                if (result == CopyResult.Failed)
                {
                    return false;
                }

                // removed since it was found
                continue;
            }

            address += (ulong)count;
            to = to[count..];
        }

        return true;
    }

    /// <inheritdoc/>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            if (_stops > 0 || (RegionAt(address) ?? WaitForRegion(address)) is not { IsWritable: true } region)
            {
                return false;
            }

            int count = CountIn(region, address, from.Length);
            if (!region.IsMapped)
            {
                if (!messages.TryWrite(address, from[..count]))
                {
                    return false;
                }
            }
            else if (region.Write(address, from[..count]) is not CopyResult.Done and var result)
            {
                if (result == CopyResult.Failed)
                {
                    return false;
                }

                // removed since it was found
                continue;
            }

            address += (ulong)count;
            from = from[count..];
        }

        return true;
    }

    /// <inheritdoc/>
    public void Stop()
    {
        Interlocked.Increment(ref _stops);
        lock (_changes)
        {
            Monitor.PulseAll(_changes);
        }

        messages.Suspend();
    }

    /// <inheritdoc/>
    public void Resume()
    {
        messages.Resume();
        Interlocked.Decrement(ref _stops);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isClosed = true;
        lock (_changes)
        {
            Monitor.PulseAll(_changes);
        }

        Clear();
    }

    // guests have several regions one after the other, and a copy may span them
    private static int CountIn(DmaRegion region, ulong address, int length)
    {
        ulong left = region.Last - address;
        int most = region.IsMapped ? Math.Min(length, VfioUserLimits.MaxCopy) : length;
        return left < (ulong)most ? (int)left + 1 : most;
    }

    private DmaRegion? WaitForRegion(ulong address)
    {
        lock (_changes)
        {
            while (true)
            {
                long left = Volatile.Read(ref _removedAt) + Grace - Stopwatch.GetTimestamp();
                if (_stops == 0 && RegionAt(address) is { } region)
                {
                    return region;
                }

                if (left <= 0 || _isClosed || _stops > 0)
                {
                    return null;
                }

                Monitor.Wait(_changes, TimeSpan.FromSeconds((double)left / Stopwatch.Frequency));
            }
        }
    }

    private DmaRegion? RegionAt(ulong address)
    {
        var regions = _regions;
        int at = IndexAfter(regions, address) - 1;
        return at >= 0 && address <= regions[at].Last ? regions[at] : null;
    }

    // number of regions that begin at or below an address
    private static int IndexAfter(DmaRegion[] regions, ulong address)
    {
        int low = 0, high = regions.Length;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            if (regions[middle].Address <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
