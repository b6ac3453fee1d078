using Paddock.Block;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// reads: data below a write pointer, zeroes from it on, whatever lies under them (spec section 3)
internal sealed partial class ZonedImage
{
    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (buffer.Length > 0)
        {
            int zone = _zones.ZoneOf(offset);
            int count = (int)Math.Min(buffer.Length, _zones.StartOf(zone) + _zones.LengthOf(zone) - offset);
            int inImage = ReadGathered(zone, offset, buffer[..count].Span);
            if (inImage > 0)
            {
                await _image.ReadAsync(offset, buffer[..inImage], cancellationToken);
            }

            offset += count;
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        length = Math.Min(length, Length - offset);
        if (length <= 0)
        {
            return new BlockStatus(0, BlockStatusFlags.EndOfDevice);
        }

        await DrainAllAsync(cancellationToken);
        int zone = _zones.ZoneOf(offset);
        long end = _zones.StartOf(zone) + _zones.LengthOf(zone);
        long dataEnd = _zones.DataEndOf(zone);
        if (offset < dataEnd)
        {
            var status = await _image.GetStatusAsync(offset, Math.Min(length, dataEnd - offset), cancellationToken);
            return dataEnd < end && offset + status.Length == dataEnd ? status with { Flags = status.Flags & ~BlockStatusFlags.EndOfDevice } : status;
        }

        // empty zones in a row are one run
        while (end < offset + length && _zones.DataEndOf(zone + 1) == end)
        {
            zone++;
            end += _zones.LengthOf(zone);
        }

        long run = Math.Min(length, end - offset);
        var last = offset + run == Length ? BlockStatusFlags.EndOfDevice : BlockStatusFlags.None;
        return new BlockStatus(run, BlockStatusFlags.Zero | (Backing is null ? last : last | BlockStatusFlags.Allocated));
    }

    /// <summary>Fills what the buffers and the write pointer decide; returns how many bytes at the front are the image's to fill.</summary>
    private int ReadGathered(int zone, long offset, Span<byte> target)
    {
        lock (_state)
        {
            if (_zones.ConditionOf(zone) == ZoneCondition.Offline)
            {
                throw new ZoneException(ZoneError.Offline, zone, $"read at {offset}: zone {zone} is offline");
            }

            int written = (int)Math.Clamp(_zones.DataEndOf(zone) - offset, 0, target.Length);
            target[written..].Clear();
            if (written == 0 || _buffers.Find(zone) is not { } buffer || buffer.Start >= offset + written)
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
