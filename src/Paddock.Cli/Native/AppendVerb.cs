using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>`paddock append`: appends standard input to a zone.</summary>
public static class AppendVerb
{
    private const int Sector = 512;
    private const int MaxChunk = 1 << 20;

    /// <summary>Appends all input and prints the offset of the data.</summary>
    /// <param name="path">The image.</param>
    /// <param name="zone">The zone's index.</param>
    /// <param name="pad">Whether a partial last sector is padded with zeroes; otherwise it is rejected.</param>
    /// <param name="json">Whether to print the result as JSON.</param>
    /// <param name="console">Provides the data as standard input.</param>
    /// <param name="cancellationToken">Stops between two appends; appended data is flushed.</param>
    /// <param name="passphrase">Passphrase of the image, if it is encrypted.</param>
    public static async ValueTask RunAsync(
        string path, int zone, bool pad, bool json, NativeConsole console, ReadOnlyMemory<byte>? passphrase = null,
        CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(path, writable: true, console, cancellationToken, passphrase);
        var zoned = device.Zones!;
        if (zone < 0 || zone >= zoned.Limits.ZoneCount)
        {
            throw new ToolException($"zone {zone} does not exist: this disk has zones 0 to {zoned.Limits.ZoneCount - 1}");
        }

        long start = zone * zoned.Limits.ZoneSize;
        long landed = -1;
        long total = 0;
        byte[] buffer = new byte[ChunkSize(zoned.Limits)];
        await RefuseWhatCannotFitAsync(device, start, console.Input, cancellationToken);
        console.PromptForInput();
        try
        {
            int got;
            while ((got = await FillAsync(console.Input, buffer, cancellationToken)) > 0)
            {
                int length = WholeSectors(buffer, got, pad);
                long at = await zoned.AppendAsync(start, buffer.AsMemory(0, length), cancellationToken: cancellationToken);
                landed = landed < 0 ? at : landed;
                total += length;
            }
        }
        catch (Exception e) when (total > 0 && e is BlockException or ToolException or IOException or OperationCanceledException)
        {
            await device.FlushAsync(CancellationToken.None);
            bool stopped = e is OperationCanceledException;
            throw new ToolException(
                $"{(stopped ? "stopped" : e.Message)} ({total} bytes were appended at 0x{landed:x})",
                stopped ? NativeExit.Stopped : NativeExit.Failure);
        }

        await device.FlushAsync(cancellationToken);
        console.Out.WriteLine(json
            ? JsonText.Readable(new JsonFields
            {
                { "image", path }, { "zone", zone }, { "offset", total == 0 ? null : landed }, { "bytes", total },
            })
            : total == 0
            ? "standard input was empty: nothing appended"
            : $"appended {total} bytes to zone {zone} at {landed} (0x{landed:x})");
    }

    private static int ChunkSize(ZonedLimits limits)
    {
        long most = limits.MaxAppendBytes == 0 ? MaxChunk : Math.Min(limits.MaxAppendBytes, MaxChunk);
        return (int)Math.Max(Sector, Math.Min(most, limits.ZoneCapacity) / Sector * Sector);
    }

    // the length of a file is known beforehand: append all of it or nothing
    private static async ValueTask RefuseWhatCannotFitAsync(
        IBlockDevice device, long start, Stream input, CancellationToken cancellationToken)
    {
        if (!input.CanSeek)
        {
            return;
        }

        var report = new ZoneDescriptor[1];
        await device.Zones!.ReportAsync(start, report, cancellationToken);
        long room = report[0].Condition == ZoneCondition.Full ? 0 : report[0].Start + report[0].Capacity - report[0].WritePointer;
        long length = input.Length - input.Position;
        if (report[0].Type != ZoneType.Conventional && length > room)
        {
            throw new ToolException($"{length} bytes do not fit into zone {start / device.Zones!.Limits.ZoneSize}: {room} bytes are left");
        }
    }

    private static int WholeSectors(byte[] buffer, int got, bool pad)
    {
        int rest = got % Sector;
        if (rest == 0)
        {
            return got;
        }

        if (!pad)
        {
            throw new ToolException(
                $"the data is not a multiple of {Sector} bytes: the last sector has {rest}; pad it with zeroes with --pad");
        }

        int length = got - rest + Sector;
        buffer.AsSpan(got, length - got).Clear();
        return length;
    }

    private static ValueTask<int> FillAsync(Stream input, byte[] buffer, CancellationToken cancellationToken)
        => input.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
}
