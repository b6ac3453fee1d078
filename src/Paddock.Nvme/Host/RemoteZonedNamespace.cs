using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>A zoned namespace of a remote controller.</summary>
internal sealed partial class RemoteZonedNamespace(
    NvmeTcpHost host, uint id, long length, int blockShift, bool readOnly, bool ownsHost, ZonedLimits limits)
    : RemoteNamespace(host, id, length, blockShift, readOnly, ownsHost), IZones
{
    private const int ReportBatch = 1024;
    private const uint Partial = 1 << 16;

    private readonly NvmeTcpHost _host = host;
    private readonly uint _id = id;

    /// <inheritdoc/>
    ZonedLimits IZones.Limits => limits with { ZoneCount = (int)((Length + limits.ZoneSize - 1) / limits.ZoneSize) };

    /// <inheritdoc/>
    public override IZones Zones => this;

    // the host does not support zone descriptor extensions
    IZoneAttributes? IZones.Attributes => null;

    /// <inheritdoc/>
    protected override long MaxLength => limits.ZoneSize > long.MaxValue / int.MaxValue ? long.MaxValue : limits.ZoneSize * int.MaxValue;

    /// <inheritdoc/>
    public async ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
        => (await FindAsync(offset, ZoneConditionSet.All, zones, count: false, cancellationToken)).Filled;

    /// <inheritdoc/>
    public async ValueTask<ZoneFindings> FindAsync(
        long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken = default)
    {
        int selector = ZoneReport.SelectorOf(which);
        if (selector < 0)
        {
            // a report lists one condition or all
            return await ZoneWalk.FindAsync(this, offset, which, zones, count, cancellationToken);
        }

        long matching = 0;
        int filled = 0;
        for (offset -= offset % limits.ZoneSize; offset < Length && (filled < zones.Length || count); count = false)
        {
            int room = Math.Min(ReportBatch, zones.Length - filled);
            var (found, listed) = await ReportAsync(offset, (byte)selector, zones.Slice(filled, room), partial: !count, cancellationToken);
            matching = count ? found : matching;
            filled += listed;
            if (listed == 0)
            {
                break;
            }

            offset = zones.Span[filled - 1].Start + limits.ZoneSize;
        }

        return new ZoneFindings(filled, (int)Math.Max(filled, Math.Min(matching, int.MaxValue)));
    }

    private async ValueTask<(long Matching, int Listed)> ReportAsync(
        long offset, byte selector, Memory<ZoneDescriptor> zones, bool partial, CancellationToken cancellationToken)
    {
        byte[] page = new byte[ZoneReport.HeaderSize + (zones.Length * ZoneReport.DescriptorSize)];
        ulong lba = (ulong)(offset >> BlockShift);
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementReceive,
            NamespaceId = _id,
            Dword10 = (uint)lba,
            Dword11 = (uint)(lba >> 32),
            Dword12 = (uint)(page.Length / 4) - 1,
            Dword13 = ((uint)selector << 8) | (partial ? Partial : 0),
        };
        Check(await _host.RunAsync(entry, default, page, cancellationToken), "zone report", offset, ZoneOf(offset));
        ulong matching = ZoneReport.ReadHeader(page);
        int listed = (int)Math.Min(matching, (ulong)zones.Length);
        for (int i = 0; i < listed; i++)
        {
            zones.Span[i] = ZoneReport.Read(
                page.AsSpan(ZoneReport.HeaderSize + (i * ZoneReport.DescriptorSize)), BlockShift, limits.ZoneSize, Length);
        }

        return ((long)Math.Min(matching, long.MaxValue), listed);
    }

    /// <inheritdoc/>
    public async ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        const uint all = 1 << 8, allocate = 1 << 9;
        ThrowIfFlushFailed();
        byte code = action switch { ZoneAction.Close => 1, ZoneAction.Finish => 2, ZoneAction.Reset => 4, _ => 3 };
        uint bits = code | (action == ZoneAction.OpenWithRandomArea ? allocate : 0);
        bool whole = action == ZoneAction.Reset && offset == 0 && length == Length;
        for (long at = offset; at < offset + length; at = whole ? offset + length : at + limits.ZoneSize)
        {
            ulong lba = (ulong)(at >> BlockShift);
            var entry = new SubmissionEntry
            {
                Opcode = Opcode.ZoneManagementSend,
                NamespaceId = _id,
                Dword10 = (uint)lba,
                Dword11 = (uint)(lba >> 32),
                Dword13 = bits | (whole ? all : 0),
            };
            var answer = await _host.RunAsync(entry, default, default, cancellationToken);
            Check(answer, $"zone {action}", at, ZoneOf(at));

            // a pointer that was moved is not durable before a flush either
            Acknowledged(answer, isDurable: action is not (ZoneAction.Reset or ZoneAction.Finish));
        }
    }

    /// <inheritdoc/>
    public async ValueTask CommitAsync(long position, CancellationToken cancellationToken = default)
    {
        const uint commit = 0x11;
        ThrowIfFlushFailed();
        if (position <= 0 || position > Length || position % (1L << BlockShift) != 0)
        {
            throw new ZoneException(
                ZoneError.InvalidZoneOperation, 0,
                $"a commit up to {position}: expected a multiple of {1 << BlockShift} inside the disk of {Length} bytes");
        }

        ulong last = (ulong)(position >> BlockShift) - 1;
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementSend, NamespaceId = _id, Dword10 = (uint)last, Dword11 = (uint)(last >> 32), Dword13 = commit,
        };
        var answer = await _host.RunAsync(entry, default, default, cancellationToken);
        Check(answer, "zone commit", position, ZoneOf(position - 1));
        Acknowledged(answer, isDurable: false);
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
        CancellationToken cancellationToken = default)
    {
        if (data.Length > limits.MaxAppendBytes)
        {
            throw new ZoneException(ZoneError.AppendTooLong, ZoneOf(zoneStart),
                $"an append of {data.Length} bytes is longer than the limit of {limits.MaxAppendBytes}");
        }

        ThrowIfFlushFailed();
        uint fua = (flags & WriteFlags.Fua) != 0 ? 1u << 30 : 0;
        var answer = await _host.RunAsync(Blocks(Opcode.ZoneAppend, zoneStart, data.Length, fua), data, default, cancellationToken);
        Check(answer, "zone append", zoneStart, ZoneOf(zoneStart));
        Acknowledged(answer, fua != 0);
        return (long)(answer.Result << BlockShift);
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var zone = new ZoneDescriptor[1];
        if (await ReportAsync(offset, zone, cancellationToken) == 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        var (start, size, capacity, pointer, condition, _) = zone[0];
        long dataEnd = condition == ZoneCondition.Full ? start + capacity
            : zone[0].HasRandomArea ? Math.Min(pointer + limits.RandomArea.Size, start + capacity)
            : pointer;
        long end = Math.Min(offset < dataEnd ? dataEnd : start + size, offset + length);
        var last = end == Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return new BlockStatus(
            end - offset, BlockStatusFlags.Allocated | (offset < dataEnd ? BlockStatusFlags.Data : BlockStatusFlags.Zero) | last);
    }

    /// <inheritdoc/>
    protected override int ZoneOf(long offset) => (int)(offset / limits.ZoneSize);
}
