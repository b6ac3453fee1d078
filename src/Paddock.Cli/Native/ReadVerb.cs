using Paddock.Block;
using Paddock.Images;

namespace Paddock.Cli.Native;

/// <summary>`paddock read`: writes the data of a zone to standard output.</summary>
public static class ReadVerb
{
    private const int Chunk = 1 << 20;

    /// <summary>Reads from a zone, by default all that was written to it.</summary>
    /// <param name="path">The image, or a disk at a server.</param>
    /// <param name="zone">The zone's index.</param>
    /// <param name="offset">Where to begin, in bytes from the start of the zone.</param>
    /// <param name="length">Bytes to read; null: up to the write pointer, or to the end of a conventional zone.</param>
    /// <param name="console">Receives the data.</param>
    /// <param name="passphrase">Passphrase of the image, if it is encrypted.</param>
    /// <param name="forceShare">Whether to read the image even if another process writes to it.</param>
    /// <param name="cancellationToken">Stops between two reads.</param>
    /// <exception cref="ToolException">No such zone, or the range is not in the data of the zone.</exception>
    public static async ValueTask RunAsync(
        string path, int zone, long offset, long? length, NativeConsole console, ReadOnlyMemory<byte>? passphrase = null,
        bool forceShare = false, CancellationToken cancellationToken = default)
    {
        if (console.OutputIsTerminal)
        {
            throw new ToolException("standard output is a terminal: redirect the data, such as '> zone.bin' or '| xxd | less'");
        }

        await using var device = await NativeImage.OpenDiskAsync(path, writable: false, console, cancellationToken, passphrase, forceShare);
        var limits = device.Zones!.Limits;
        if (zone < 0 || zone >= limits.ZoneCount)
        {
            throw new ToolException($"zone {zone} does not exist: this disk has zones 0 to {limits.ZoneCount - 1}");
        }

        var report = new ZoneDescriptor[1];
        await device.Zones.ReportAsync(zone * limits.ZoneSize, report, cancellationToken);
        long end = EndOf(zone, report[0]);
        long count = length ?? Math.Max(0, end - offset);
        if (offset > end || count > end - offset)
        {
            string range = length is null ? $"--offset {offset}" : $"--offset {offset} --length {length}";
            string has = report[0].Type == ZoneType.Conventional ? $"has {end} bytes" : $"has {end} bytes that are written";
            throw new ToolException($"{range} is beyond the data of zone {zone}, which {has}");
        }

        await CopyAsync(device, report[0].Start + offset, count, console, cancellationToken);
    }

    // reads are in whole blocks, which may be larger than what is wanted of them
    private static async ValueTask CopyAsync(
        IBlockDevice device, long from, long count, NativeConsole console, CancellationToken cancellationToken)
    {
        long block = device.Limits.RequestAlignment;
        byte[] buffer = new byte[Chunk];
        while (count > 0)
        {
            long start = from / block * block;
            int skip = (int)(from - start);
            int wanted = (int)Math.Min(buffer.Length, (skip + count + block - 1) / block * block);
            await device.ReadAsync(start, buffer.AsMemory(0, wanted), cancellationToken);
            int taken = (int)Math.Min(wanted - skip, count);
            await console.OutStream.WriteAsync(buffer.AsMemory(skip, taken), cancellationToken);
            console.OutStream.ThrowIfFailed();
            from += taken;
            count -= taken;
        }
    }

    private static long EndOf(int number, ZoneDescriptor zone) => zone.Type == ZoneType.Conventional ? zone.Length
        : zone.Condition == ZoneCondition.Offline ? throw new ToolException($"zone {number} is offline: its data cannot be read")
        : zone.Condition == ZoneCondition.Full ? zone.Capacity
        : Math.Clamp(zone.WritePointer - zone.Start, 0, zone.Capacity);
}
