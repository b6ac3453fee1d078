using System.Buffers;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>compare</c>: whether two images hold the same.</summary>
internal static class CompareCommand
{
    private const int Chunk = 2 << 20, Trouble = 2, StatusTrouble = 3, ReadTrouble = 4;

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = Parse(args);
        if (given.Has("image-opts") && given.Has("F"))
        {
            throw new ToolException("--image-opts and --format are mutually exclusive", Trouble);
        }

        if (given.Operands.Count != 2)
        {
            throw new UsageException("Expecting two image file names");
        }

        try
        {
            ImageOpener.CheckSourceCache(given["T"]);
            var opener = new ImageOpener(ctx.Program, ctx.Error);
            await using var a = await opener.OpenAsync(given.Operands[0], given.Settings(), given.Has("image-opts"));
            await using var b = await opener.OpenAsync(
                given.Operands[1], given.Settings() with { Format = given["F"] }, given.Has("image-opts"));
            string? difference = await DifferenceAsync(ctx, a, b, given.Has("s"), given.Has("q"), given.Has("p"));
            if (!given.Has("q"))
            {
                ctx.Line(difference ?? "Images are identical.");
            }

            return difference is null ? 0 : 1;
        }
        catch (Exception e) when (e is ToolException { ExitCode: not (StatusTrouble or ReadTrouble) } or BlockException)
        {
            throw new ToolException(e.Message, Trouble);
        }
    }

    private static ImgArguments Parse(string[] args)
    {
        try
        {
            return new ImgArguments(
                args, "image-opts object progress quiet force-share",
                new('f', "a-format", true), new('F', "b-format", true), new('s', "strict", false), new('T', "cache", true));
        }
        catch (ToolException e) when (e is not UsageException)
        {
            throw new ToolException(e.Message, Trouble);
        }
    }

    private static async ValueTask<string?> DifferenceAsync(
        ToolContext ctx, ImageNode a, ImageNode b, bool strict, bool quiet, bool progress)
    {
        long common = Math.Min(a.Device.Length, b.Device.Length);
        if (strict && a.Device.Length != b.Device.Length)
        {
            return "Strict mode: Image size mismatch!";
        }

        for (long at = 0; at < common;)
        {
            if (progress)
            {
                ctx.Out.Write(FormattableString.Invariant($"    ({at * 100.0 / common:F2}/100%)\r"));
                await ctx.Out.FlushAsync();
            }

            var one = await StatusAsync(a, at, common - at);
            var two = await StatusAsync(b, at, Math.Min(one.Length, common - at));
            if (strict && (one.IsPresent, one.IsZero, one.IsData) != (two.IsPresent, two.IsZero, two.IsData))
            {
                return $"Strict mode: Offset {at} block status mismatch!";
            }

            if (!(one.IsZero && two.IsZero) && await MismatchAsync(a, b, at, two.Length) is { } place)
            {
                return $"Content mismatch at offset {place}!";
            }

            at += two.Length;
        }

        if (a.Device.Length == b.Device.Length)
        {
            return null;
        }

        if (!quiet)
        {
            ctx.Line("Warning: Image size mismatch!");
        }

        var longer = a.Device.Length > common ? a : b;
        return await TailAsync(longer, common) is { } rest ? $"Content mismatch at offset {rest}!" : null;
    }

    // what only one image has must be zero; what is known to be is not read
    private static async ValueTask<long?> TailAsync(ImageNode longer, long at)
    {
        while (at < longer.Device.Length)
        {
            var run = await StatusAsync(longer, at, longer.Device.Length - at);
            if (!run.IsZero && await MismatchAsync(longer, null, at, run.Length) is { } place)
            {
                return place;
            }

            at += run.Length;
        }

        return null;
    }

    private static async ValueTask<ChainStatus> StatusAsync(ImageNode node, long at, long length)
    {
        try
        {
            return await ChainStatus.QueryAsync(node, at, length);
        }
        catch (BlockException)
        {
            throw new ToolException($"Sector allocation test failed for {node.Filename}", StatusTrouble);
        }
    }

    private static async ValueTask ReadAsync(ImageNode node, long at, Memory<byte> buffer)
    {
        try
        {
            await node.Device.ReadAsync(at, buffer);
        }
        catch (BlockException e)
        {
            throw new ToolException($"Error while reading offset {at} of {node.Filename}: {ErrorText.Of(e)}", ReadTrouble);
        }
    }

    // the place is the 512-byte sector that holds the first byte that differs
    private static async ValueTask<long?> MismatchAsync(ImageNode a, ImageNode? b, long at, long length)
    {
        byte[] left = ArrayPool<byte>.Shared.Rent(Chunk), right = ArrayPool<byte>.Shared.Rent(Chunk);
        try
        {
            Array.Clear(right);
            for (long end = at + length; at < end;)
            {
                int count = (int)Math.Min(Chunk, end - at);
                await ReadAsync(a, at, left.AsMemory(0, count));
                if (b is not null)
                {
                    await ReadAsync(b, at, right.AsMemory(0, count));
                }

                int same = left.AsSpan(0, count).CommonPrefixLength(right.AsSpan(0, count));
                if (same != count)
                {
                    return at + (same & ~511);
                }

                at += count;
            }

            return null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(left);
            ArrayPool<byte>.Shared.Return(right);
        }
    }
}
