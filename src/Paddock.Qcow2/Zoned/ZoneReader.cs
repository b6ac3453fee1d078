using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>Reads: data below a write pointer, zeroes from it on, whatever is stored there (zoned-qcow2.md 3).</summary>
internal sealed class ZoneReader(ZonedState state, ZoneCache cache, ClusterReader reader, ClusterStatus status, IBlockDevice? backing)
{
    /// <summary>Reads a range of the disk.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var zones = state.Zones;
        while (buffer.Length > 0)
        {
            int zone = zones.ZoneOf(offset);
            int count = (int)Math.Min(buffer.Length, zones.StartOf(zone) + zones.LengthOf(zone) - offset);
            int inImage = ReadGathered(zone, offset, buffer[..count].Span);
            if (inImage > 0)
            {
                await reader.ReadAsync(new GuestOffset(offset), buffer[..inImage], cancellationToken);
            }

            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <summary>Tells how a range is stored.</summary>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken)
    {
        var zones = state.Zones;
        length = Math.Min(length, state.Length - offset);
        if (length <= 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        await cache.DrainAllAsync(cancellationToken);
        int zone = zones.ZoneOf(offset);
        long end = zones.StartOf(zone) + zones.LengthOf(zone);
        long dataEnd, gathered;
        lock (state.Lock)
        {
            dataEnd = state.ReadableEnd(zone);
            gathered = state.Buffers.Find(zone)?.Start ?? dataEnd;
        }

        if (offset >= gathered && offset < dataEnd)
        {
            return new BlockStatus(Math.Min(length, dataEnd - offset), BlockStatusFlags.Data | BlockStatusFlags.Allocated);
        }

        if (offset < dataEnd)
        {
            length = Math.Min(length, gathered - offset);
            var stored = await status.GetAsync(new GuestOffset(offset), Math.Min(length, dataEnd - offset), cancellationToken);
            return (dataEnd < end && offset + stored.Length == dataEnd) || offset + stored.Length == gathered
                ? stored with { Flags = stored.Flags & ~BlockStatusFlags.EndOfDevice }
                : stored;
        }

        // empty zones in a row are one run
        while (end < offset + length && zones.DataEndOf(zone + 1) == end)
        {
            zone++;
            end += zones.LengthOf(zone);
        }

        long run = Math.Min(length, end - offset);
        var last = offset + run == state.Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return new BlockStatus(run, BlockStatusFlags.Zero | (backing is null ? last : last | BlockStatusFlags.Allocated));
    }

    /// <summary>Fills what the buffers and the write pointer decide; returns how many bytes at the front are the image's to fill.</summary>
    private int ReadGathered(int zone, long offset, Span<byte> target)
    {
        lock (state.Lock)
        {
            if (state.Zones.ConditionOf(zone) == ZoneCondition.Offline)
            {
                throw new ZoneException(ZoneError.Offline, zone, $"read at {offset}: zone {zone} is offline");
            }

            int written = (int)Math.Clamp(state.ReadableEnd(zone) - offset, 0, target.Length);
            target[written..].Clear();
            if (written == 0 || state.Buffers.Find(zone) is not { } buffer || buffer.Start >= offset + written)
            {
                return written;
            }

            int inImage = (int)Math.Max(0, buffer.Start - offset);
            int at = (int)Math.Max(0, offset - buffer.Start);
            buffer.Bytes.AsSpan(at, written - inImage).CopyTo(target[inImage..]);
            return inImage;
        }
    }
}
