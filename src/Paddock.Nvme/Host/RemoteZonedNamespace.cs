using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>A zoned namespace of a remote controller.</summary>
internal sealed partial class RemoteZonedNamespace(
    NvmeTcpHost host, uint id, long length, int blockShift, bool readOnly, bool ownsHost, ZonedLimits limits)
    : RemoteNamespace(host, id, length, blockShift, readOnly, ownsHost), IZonedBlockDevice
{
    private const int ReportBatch = 1024;

    private readonly NvmeTcpHost _host = host;
    private readonly uint _id = id;

    /// <inheritdoc/>
    public ZonedLimits Zoned => limits with { ZoneCount = (int)((Length + limits.ZoneSize - 1) / limits.ZoneSize) };

    /// <inheritdoc/>
    protected override long MaxLength => limits.ZoneSize > long.MaxValue / int.MaxValue ? long.MaxValue : limits.ZoneSize * int.MaxValue;

    /// <inheritdoc/>
    public async ValueTask<int> ReportZonesAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken = default)
    {
        const uint partial = 1 << 16;
        int total = 0;
        offset -= offset % limits.ZoneSize;
        while (total < zones.Length && offset < Length)
        {
            byte[] page = new byte[ZoneReport.HeaderSize + (Math.Min(ReportBatch, zones.Length - total) * ZoneReport.DescriptorSize)];
            ulong lba = (ulong)(offset >> BlockShift);
            var entry = new SubmissionEntry
            {
                Opcode = Opcode.ZoneManagementReceive,
                NamespaceId = _id,
                Dword10 = (uint)lba,
                Dword11 = (uint)(lba >> 32),
                Dword12 = (uint)(page.Length / 4) - 1,
                Dword13 = partial,
            };
            Check(await _host.RunAsync(entry, default, page, cancellationToken), "zone report", offset, ZoneOf(offset));
            int count = (int)Math.Min(ZoneReport.ReadHeader(page), (ulong)(page.Length / ZoneReport.DescriptorSize) - 1);
            for (int i = 0; i < count; i++)
            {
                zones.Span[total++] = ZoneReport.Read(
                    page.AsSpan(ZoneReport.HeaderSize + (i * ZoneReport.DescriptorSize)), BlockShift, limits.ZoneSize, Length);
            }

            if (count == 0)
            {
                break;
            }

            offset += count * limits.ZoneSize;
        }

        return total;
    }

    /// <inheritdoc/>
    public async ValueTask ManageZonesAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken = default)
    {
        const uint all = 1 << 8;
        ThrowIfFlushFailed();
        byte code = action switch { ZoneAction.Close => 1, ZoneAction.Finish => 2, ZoneAction.Open => 3, _ => 4 };
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
                Dword13 = code | (whole ? all : 0),
            };
            int incarnation = _host.Incarnation;
            Check(await _host.RunAsync(entry, default, default, cancellationToken), $"zone {action}", at, ZoneOf(at));

            // a pointer that was moved is not durable before a flush either
            Acknowledged(incarnation, isDurable: action is not (ZoneAction.Reset or ZoneAction.Finish));
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<long> AppendAsync(
        long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (data.Length > limits.MaxAppendBytes)
        {
            throw new ZoneException(ZoneError.AppendTooLong, ZoneOf(zoneStart), $"an append of {data.Length} bytes is longer than the limit of {limits.MaxAppendBytes}");
        }

        ThrowIfFlushFailed();
        uint fua = (flags & WriteFlags.Fua) != 0 ? 1u << 30 : 0;
        int incarnation = _host.Incarnation;
        var completion = await _host.RunAsync(Blocks(Opcode.ZoneAppend, zoneStart, data.Length, fua), data, default, cancellationToken);
        Check(completion, "zone append", zoneStart, ZoneOf(zoneStart));
        Acknowledged(incarnation, fua != 0);
        return (long)(completion.Result << BlockShift);
    }

    /// <inheritdoc/>
    public override async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        var zone = new ZoneDescriptor[1];
        if (await ReportZonesAsync(offset, zone, cancellationToken) == 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        var (start, size, capacity, pointer, condition, _) = zone[0];
        long dataEnd = condition == ZoneCondition.Full ? start + capacity : pointer;
        long end = Math.Min(offset < dataEnd ? dataEnd : start + size, offset + length);
        var last = end == Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return new BlockStatus(end - offset, BlockStatusFlags.Allocated | (offset < dataEnd ? BlockStatusFlags.Data : BlockStatusFlags.Zero) | last);
    }

    /// <inheritdoc/>
    protected override int ZoneOf(long offset) => (int)(offset / limits.ZoneSize);
}
