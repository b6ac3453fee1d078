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

    // how often memory of others is looked for
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(1);

    private readonly int _blockSize;

    /// <param name="device">The disk; bounds and alignment are checked there (<see cref="CheckedDevice"/>).</param>
    /// <param name="options">What it says of itself.</param>
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

    /// <summary>The disk, when it has zones.</summary>
    public IZones? Zones { get; }

    /// <summary>What it says of itself.</summary>
    public VirtioBlkOptions Options { get; }

    /// <summary>Its requests.</summary>
    public RequestCounters Statistics { get; } = new();

    /// <summary>How long requests took from the ring to the ring, including failed ones.</summary>
    public LatencyTable Latencies { get; } = new();

    /// <summary>
    /// The feature bits to offer: those of the device and of its rings. VHOST_USER_F_PROTOCOL_FEATURES (30) is the session's. Discard is
    /// for disks without zones: Linux would not use it elsewhere.
    /// </summary>
    public ulong Features { get; }

    /// <summary>What VIRTIO_BLK_T_GET_ID answers: 20 bytes, zeroes behind the serial number.</summary>
    internal ReadOnlyMemory<byte> Id { get; }

    /// <summary>Bytes that a read or write is a multiple of.</summary>
    internal int BlockSize => _blockSize;

    /// <summary>Memory for data that lies in pieces.</summary>
    internal SlabPool Buffers { get; }

    /// <summary>How much of it, and of requests that run on, there may be.</summary>
    internal RequestBudget Budget { get; }

    /// <summary>Long writes take turns.</summary>
    internal WriteTurn Writes { get; } = new();

    /// <summary>Longest data in pieces that go to the disk as one request, in bytes: a power of two.</summary>
    internal int LongestGathered { get; }

    /// <summary>
    /// Memory for a request, which has none so far: what it waits for does not wait for it. Others may keep theirs for as long as they
    /// like, so there is an end to the wait.
    /// </summary>
    /// <returns>Null where none came free for <see cref="VirtioBlkOptions.Patience"/>.</returns>
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

    /// <summary>Whether the zone that an append was to land in is written as far as the append would reach.</summary>
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
            // the disk says nothing now; what it holds is looked at again when the request is run
            return true;
        }
    }

    /// <summary>
    /// Copies configuration space from byte <paramref name="offset"/> on, as it is now; past its 96 bytes there are zeroes.
    /// </summary>
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
