using System.Diagnostics;
using Paddock.Block;
using Paddock.Serving;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>
/// The data of a request: the driver's command, the location of its data, and the result so far. Reused for the next request, so that a
/// request allocates nothing.
/// </summary>
/// <param name="queue">The request's queue.</param>
/// <param name="device">The device.</param>
internal sealed class BlkJob(BlkQueue queue, VirtioBlkDevice device)
{
    /// <summary>Bytes of the status that ends each request.</summary>
    public const int StatusSize = 1;

    /// <summary>The device.</summary>
    public VirtioBlkDevice Device => device;

    /// <summary>Location of the request in guest memory.</summary>
    public DescriptorChain Chain { get; private set; } = null!;

    /// <summary>Request type.</summary>
    public RequestType Type { get; private set; }

    /// <summary>Sector on the disk, unchecked until <see cref="BlkCheck"/> has passed.</summary>
    public ulong Sector { get; private set; }

    /// <summary>Length of the data in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>Time at which the request was taken from the ring.</summary>
    public long StartedAt { get; private set; }

    /// <summary>How the data reaches the disk.</summary>
    public DataWay Way { get; private set; }

    /// <summary>Buffer of the request, if it needs one.</summary>
    public Slab? Slab { get; set; }

    /// <summary>The result so far.</summary>
    public RequestStatus Status { get; set; }

    /// <summary>Bytes written to guest memory, without the status.</summary>
    public long DataWritten { get; set; }

    /// <summary>Offset on the disk in bytes.</summary>
    public long Offset => (long)(Sector << BlkLimits.SectorShift);

    /// <summary>Flags of the request's writes.</summary>
    public WriteFlags Flags => queue.IsWriteThrough ? WriteFlags.Fua : WriteFlags.None;

    /// <summary>Whether each write is made durable, because the driver does not flush.</summary>
    public bool IsWriteThrough => queue.IsWriteThrough;

    /// <summary>The front end's share of long requests.</summary>
    public LongWorkClient LongWork => queue.LongWork;

    /// <summary>Size of the required buffer in bytes; 0 for none.</summary>
    public int BufferSize
    {
        get
        {
            int buffer = Way switch
            {
                DataWay.Buffer => (int)Length,
                DataWay.Parts => BlkLimits.Part,
                DataWay.Direct => 0,
                _ when Type is RequestType.ZoneReport => (int)Math.Min(Length, device.LongestGathered),
                _ => Type is RequestType.Discard or RequestType.WriteZeroes ? (int)Length : 0,
            };

            // a repeated write compares its data with the data on the disk
            bool compares = Chain.IsReplay && device.Zones is not null && Type is RequestType.Out or RequestType.ZoneAppend;
            return compares ? Math.Max(buffer, 2 * BlkLimits.Part) : buffer;
        }
    }

    /// <summary>Reads the header and checks it.</summary>
    /// <returns>False if the request is rejected; <see cref="Status"/> is the reason.</returns>
    public bool Begin(DescriptorChain chain)
    {
        Chain = chain;
        StartedAt = Stopwatch.GetTimestamp();
        (Type, Sector, Status, Length, DataWritten) = (default, 0, RequestStatus.Ok, 0, 0);
        if (chain.ReadableBytes < RequestHeader.Size || chain.WritableBytes < StatusSize)
        {
            Status = RequestStatus.IoError;
            return false;
        }

        Span<byte> bytes = stackalloc byte[RequestHeader.Size];
        Pieces.Gather(chain.Readable, 0, bytes);
        (Type, Sector) = RequestHeader.Parse(bytes);
        Length = Type is RequestType.In or RequestType.GetId or RequestType.ZoneReport
            ? chain.WritableBytes - StatusSize
            : chain.ReadableBytes - RequestHeader.Size;
        Status = BlkCheck.Check(this);
        Way = Status == RequestStatus.Ok && Type is RequestType.In or RequestType.Out or RequestType.ZoneAppend ? FindWay() : DataWay.None;
        return Status == RequestStatus.Ok;
    }

    /// <summary>The data, if it is contiguous in guest memory.</summary>
    public bool TryGetRun(out Memory<byte> run) => Type == RequestType.In
        ? Pieces.TryGetRun(Chain.Writable, 0, Length, out run)
        : Pieces.TryGetRun(Chain.Readable, RequestHeader.Size, Length, out run);

    // an append is one request, however many pieces it has: its length has been checked
    private DataWay FindWay() => Length <= device.Device.Limits.MaxTransfer && TryGetRun(out _) ? DataWay.Direct
        : Length <= Math.Min(device.Device.Limits.MaxTransfer, device.LongestGathered) || Type == RequestType.ZoneAppend ? DataWay.Buffer
        : DataWay.Parts;
}

/// <summary>How the data of a read, write or append gets from guest memory to the disk or back.</summary>
internal enum DataWay : byte
{
    /// <summary>No data, or a type with its own transfer.</summary>
    None,

    /// <summary>One contiguous piece, passed to the disk without a copy.</summary>
    Direct,

    /// <summary>Copied as a whole through one buffer.</summary>
    Buffer,

    /// <summary>Copied through one buffer in consecutive parts.</summary>
    Parts,
}
