using System.Buffers;
using System.Threading.Channels;
using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Tools;

/// <summary><c>convert</c>: copies an image into another format.</summary>
internal static class ConvertCommand
{
    // the steps in which progress is told are the peer's
    private const int Chunk = 2 << 20;
    private const int Buffers = 4;

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, new('O', "target-format", true), new('o', "target-options", true), new('c', "compress", false), new('t', "target-cache", true),
            new('T', "source-cache", true), new('B', "backing", true), new('F', "backing-format", true), new('n', "no-create", false),
            new('S', "sparse-size", true), new('\0', "target-is-zero", false), new('\0', "bitmaps", false), new('W', "oob-writes", false),
            new('m', "parallel", true), new('C', "copy-range-offloading", false), new('r', "rate", true),
            new('\0', "target-image-opts", false), new('l', "source-snapshot", true), new('\0', "salvage", false));
        Refuse(given);
        int sparse = given["S"] is { } s ? (int)SizeParser.Argument("buffer size for sparse output", s, 0, int.MaxValue) : 4096;
        string format = given["O"] ?? "raw", target = given.Operands[1];
        var opener = new ImageOpener(ctx);
        await using var source = await opener.OpenAsync(given.Operands[0], given.Settings() with { Cache = given["T"] }, given.Has("image-opts"));
        if (!given.Has("n"))
        {
            var options = new CreateOptions();
            given.All("o").ToList().ForEach(o => options.Add(o, format == "raw"));
            options["backing_file"] = given["B"];
            options["backing_fmt"] = given["F"];
            await CreateAsync(format, target, options, source.Device.Length);
        }

        // as the peer does: an interrupted convert leaves nothing of use, so that flushes on the way gain nothing
        var settings = new OpenSettings
        {
            ReadOnly = false, Format = given.Has("target-image-opts") ? null : format, Cache = given["t"] ?? "unsafe", Objects = given.All("object"),
        };
        await using var output = await opener.OpenAsync(target, settings, given.Has("target-image-opts"));
        if (output.Device.Length < source.Device.Length)
        {
            throw new ToolException("output file is smaller than input file");
        }

        // a remote disk was there before, with what it holds
        bool isNew = !given.Has("n") && (output.Protocol == "file" || output.Qcow2 is not null);
        bool zeroTarget = (isNew || given.Has("target-is-zero")) && output.Backing is null;
        var copy = new Copy(source, output, sparse, zeroTarget, given.Has("c"), given.Has("p") ? ctx : null);
        await copy.RunAsync();
        await output.Device.FlushAsync();
        return 0;
    }

    private static void Refuse(ImgArguments given)
    {
        if (given.Operands.Count != 2)
        {
            throw new UsageException("Must specify image file name");
        }

        if (given.Has("bitmaps") || given.Has("l"))
        {
            throw new ToolException("copying bitmaps or a snapshot is not supported yet");
        }

        if (given.Has("c") && given["O"] != "qcow2")
        {
            throw new ToolException("Compression not supported for this file format");
        }
    }

    private static async ValueTask CreateAsync(string format, string target, CreateOptions options, long size)
    {
        try
        {
            await CreateCommand.MakeFileAsync(format, target, options, size);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"{target}: error while converting {format}: {e.Message}");
        }
    }

    /// <param name="At">Where it lies on the disk.</param>
    /// <param name="Count">Bytes.</param>
    /// <param name="Data">What was read; null where the source has nothing.</param>
    private readonly record struct Piece(long At, long Count, byte[]? Data);

    /// <summary>The copying itself: chunks are read while others are written.</summary>
    private sealed class Copy(ImageNode source, ImageNode output, int sparse, bool zeroTarget, bool compress, ToolContext? progress)
    {
        private readonly int _block = compress ? output.ClusterSize : Math.Max(sparse, 512);
        private readonly byte[] _zeroes = compress ? new byte[output.ClusterSize] : [];
        // no request crosses a zone's end
        private readonly long _zone = (output.Device as IZonedBlockDevice)?.Zoned.ZoneSize ?? long.MaxValue;
        private long _total;
        private long _copied;
        private double _shown = double.NegativeInfinity;

        public async ValueTask RunAsync()
        {
            long length = source.Device.Length;
            await CountAsync(length);
            var free = Channel.CreateUnbounded<byte[]>();
            var pieces = Channel.CreateBounded<Piece>(new BoundedChannelOptions(Buffers * 4) { SingleReader = true, SingleWriter = true });
            for (int i = 0; i < Buffers; i++)
            {
                free.Writer.TryWrite(ArrayPool<byte>.Shared.Rent(Chunk));
            }

            using var stop = new CancellationTokenSource();
            var reading = Task.Run(() => ReadAllAsync(length, free, pieces.Writer, stop.Token));
            try
            {
                await foreach (var piece in pieces.Reader.ReadAllAsync())
                {
                    await WriteRunAsync(piece.At, piece.Count, piece.Data);
                    if (piece.Data is { } used)
                    {
                        free.Writer.TryWrite(used);
                    }

                    Show(piece.Data is null ? 0 : piece.Count);
                }
            }
            finally
            {
                // the source is closed next: nothing may read from it then
                await stop.CancelAsync();
                await reading;
            }

            progress?.Out.Write("    (100.00/100%)\r\n");
        }

        // runs ahead of the writes by as many buffers as there are, so that a run of holes does not leave either side idle
        private async Task ReadAllAsync(long length, Channel<byte[]> free, ChannelWriter<Piece> pieces, CancellationToken stop)
        {
            try
            {
                for (long at = 0; at < length;)
                {
                    byte[] buffer = await free.Reader.ReadAsync(stop);
                    var (count, hasData) = await ReadRunAsync(at, buffer);
                    if (!hasData)
                    {
                        free.Writer.TryWrite(buffer);
                    }

                    await pieces.WriteAsync(new Piece(at, count, hasData ? buffer : null), stop);
                    at += count;
                }

                pieces.Complete();
            }
            catch (Exception e) when (e is BlockException or ToolException or IOException or OperationCanceledException)
            {
                pieces.Complete(e);
            }
        }

        private bool IsCopied(ChainStatus status) => compress || !status.IsZero;

        private async Task<(long Count, bool HasData)> ReadRunAsync(long at, byte[] into)
        {
            long rest = source.Device.Length - at;
            var status = rest > 0 ? await ChainStatus.QueryAsync(source, at, rest) : default;
            if (rest <= 0 || !IsCopied(status))
            {
                return (status.Length, false);
            }

            // whole clusters where the target's compression needs them
            int count = (int)Math.Min(compress ? rest : status.Length, Chunk);
            await source.Device.ReadAsync(at, into.AsMemory(0, count));
            return (count, true);
        }

        private async ValueTask WriteRunAsync(long at, long count, byte[]? data)
        {
            if (data is null)
            {
                await ZeroAsync(at, count);
                return;
            }

            for (int done = 0; done < count;)
            {
                int run = (int)ToBorder(at + done, RunOf(data, done, (int)count, at, out bool isZero));
                if (isZero)
                {
                    await ZeroAsync(at + done, run);
                }
                else if (compress)
                {
                    await CompressAsync(at + done, data, done, run);
                }
                else
                {
                    await output.Device.WriteAsync(at + done, data.AsMemory(done, run));
                }

                done += run;
            }
        }

        // a run of blocks that are all zero, or none of them; compressed ones go one by one
        private int RunOf(byte[] data, int from, int end, long at, out bool isZero)
        {
            isZero = false;
            if (sparse == 0 && !compress)
            {
                return end - from;
            }

            int length = Math.Min(_block - (int)((at + from) % _block), end - from);
            isZero = !data.AsSpan(from, length).ContainsAnyExcept((byte)0);
            while (from + length < end && !(compress && !isZero))
            {
                int more = Math.Min(_block, end - from - length);
                if (data.AsSpan(from + length, more).ContainsAnyExcept((byte)0) == isZero)
                {
                    break;
                }

                length += more;
            }

            return length;
        }

        private async ValueTask CompressAsync(long at, byte[] data, int from, int length)
        {
            IQcow2Device image = output.Qcow2!;
            if (length == _zeroes.Length || at + length == output.Device.Length)
            {
                await image.WriteCompressedAsync(at, data.AsMemory(from, length));
                return;
            }

            Array.Clear(_zeroes);
            data.AsSpan(from, length).CopyTo(_zeroes);
            await image.WriteCompressedAsync(at, _zeroes);
        }

        private async ValueTask ZeroAsync(long at, long length)
        {
            if (zeroTarget && sparse != 0)
            {
                return;
            }

            for (long end = at + length; at < end;)
            {
                long run = ToBorder(at, end - at);
                await output.Device.WriteZeroesAsync(at, run, zeroTarget ? ZeroFlags.None : ZeroFlags.MayUnmap);
                at += run;
            }
        }

        private long ToBorder(long at, long length) => Math.Min(length, _zone - (at % _zone));

        // progress is in bytes that are stored: holes take no time
        private async ValueTask CountAsync(long length)
        {
            for (long at = 0; progress is not null && at < length;)
            {
                var status = await ChainStatus.QueryAsync(source, at, length - at);
                _total += IsCopied(status) ? status.Length : 0;
                at += status.Length;
            }

            Show(0);
        }

        private void Show(long copied)
        {
            _copied += copied;
            double percent = _total == 0 ? 0 : _copied * 100.0 / _total;
            if (progress is not null && (percent == 0 || percent >= 100 || percent > _shown + 1) && (copied > 0 || _shown < 0))
            {
                _shown = percent;
                progress.Out.Write(FormattableString.Invariant($"    ({percent:F2}/100%)\r"));
                progress.Out.Flush();
            }
        }
    }
}
