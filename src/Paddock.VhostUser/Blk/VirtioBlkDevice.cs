using System.Diagnostics;
using System.Numerics;
using System.Text;
using Paddock.Block;
using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>A disk as a virtio block device (virtio 1.3, 5.2), for any number of front ends.</summary>
internal sealed class VirtioBlkDevice
{
    /// <summary>VIRTIO_BLK_ID_BYTES.</summary>
    public const int IdSize = 20;

    // interval between checks for shared memory that others have freed
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(1);

    private readonly int _blockSize;

    /// <param name="device">The disk; bounds and alignment are checked there (<see cref="CheckedDevice"/>).</param>
    /// <param name="options">Properties of the device.</param>
    public VirtioBlkDevice(IBlockDevice device, VirtioBlkOptions options)
    {
        Device = device;
        Zones = device.Zones;
        Options = options;
        _blockSize = Math.Max(options.BlockSize, device.Limits.RequestAlignment);
        Features = RingFeatureBits.Offered | BlkFeatures.SegmentLimit | BlkFeatures.BlockSize | BlkFeatures.Flush | BlkFeatures.Topology
            | (options.Queues > 1 ? BlkFeatures.MultiQueue : 0)
            | (device.IsReadOnly ? BlkFeatures.ReadOnly : 0)
            | (Zones is not null ? BlkFeatures.Zoned : device.IsReadOnly ? 0 : BlkFeatures.Discard | BlkFeatures.WriteZeroes);
        Buffers = options.Buffers ?? new SlabPool(keeps: BlkLimits.KeptBuffers);
        Budget = new RequestBudget(Math.Min(BlkLimits.Buffers, Buffers.Limit / BlkLimits.Share));
        long share = Math.Max(2 * BlkLimits.Part, Buffers.Limit / (2 * BlkLimits.Share));
        LongestGathered = share < BlkLimits.LongestGathered ? 1 << BitOperations.Log2((uint)share) : BlkLimits.LongestGathered;
        byte[] serial = Encoding.ASCII.GetBytes(options.Serial);
        var id = new byte[IdSize];
        serial.AsSpan(0, Math.Min(serial.Length, IdSize)).CopyTo(id);
        Id = id;
    }

    /// <summary>The disk.</summary>
    public IBlockDevice Device { get; }

    /// <summary>The disk, if it has zones.</summary>
    public IZones? Zones { get; }

    /// <summary>Properties of the device.</summary>
    public VirtioBlkOptions Options { get; }

    /// <summary>Counters of the device's requests.</summary>
    public RequestCounters Statistics { get; } = new();

    /// <summary>Latencies of requests from available to used ring, including failed ones.</summary>
    public LatencyTable Latencies { get; } = new();

    /// <summary>
    /// The feature bits to offer: those of the device and of its rings. VHOST_USER_F_PROTOCOL_FEATURES (30) is the session's. Discard is
    /// for disks without zones: Linux would not use it elsewhere.
    /// </summary>
    public ulong Features { get; }

    /// <summary>Reply to VIRTIO_BLK_T_GET_ID: 20 bytes, the serial number padded with zeroes.</summary>
    internal ReadOnlyMemory<byte> Id { get; }

    /// <summary>Unit of reads and writes in bytes.</summary>
    internal int BlockSize => _blockSize;

    /// <summary>Memory for scattered data.</summary>
    internal SlabPool Buffers { get; }

    /// <summary>Limits that memory, and the number of requests in flight.</summary>
    internal RequestBudget Budget { get; }

    /// <summary>Makes long writes take turns.</summary>
    internal WriteTurn Writes { get; } = new();

    /// <summary>Maximum length in bytes of scattered data that reaches the disk as one request: a power of two.</summary>
    internal int LongestGathered { get; }

    /// <summary>
    /// Reserves memory for a request that holds none: a request that it waits for never waits for it. Others may hold their memory
    /// indefinitely, so the wait is limited.
    /// </summary>
    /// <returns>Null if none was freed within <see cref="VirtioBlkOptions.Patience"/>.</returns>
    internal Slab? Rent(int size)
    {
        var slab = Buffers.TryRent(size);
        for (long since = Stopwatch.GetTimestamp(); slab is null
            && Stopwatch.GetElapsedTime(since) < Options.Patience; slab = Buffers.TryRent(size))
        {
            Budget.AwaitLeave(Look);
        }

        return slab;
    }

    /// <summary>Whether the zone of an append has been written as far as the append would reach.</summary>
    internal bool Holds(AppendNote note)
    {
        if (note.Length <= 0 || note.Offset < 0 || note.Offset >= Device.Length)
        {
            return false;
        }

        try
        {
            var zone = new ZoneDescriptor[1];
            Zones!.ReportAsync(note.Offset, zone).AsTask().GetAwaiter().GetResult();
            return zone[0].Condition == ZoneCondition.Full || zone[0].WritePointer - note.Offset >= note.Length;
        }
        catch (BlockException)
        {
            // the disk reports nothing now; its contents are inspected again when the request runs
            return true;
        }
    }

    /// <summary>Copies the current configuration space from byte <paramref name="offset"/> on, with zeroes past its 96 bytes.</summary>
    public void ReadConfig(int offset, Span<byte> to)
    {
        Span<byte> all = stackalloc byte[BlkConfig.Size];
        BlkConfig.Write(all, Device, Options, _blockSize, Features, LongestGathered);
        to.Clear();
        if (offset >= 0 && offset < all.Length)
        {
            all.Slice(offset, Math.Min(all.Length - offset, to.Length)).CopyTo(to);
        }
    }
}
