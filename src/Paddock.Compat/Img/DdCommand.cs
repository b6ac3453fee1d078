using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary><c>dd</c>: copies blocks of one image into a new one.</summary>
internal static class DdCommand
{
    private static readonly string[] Keys = ["bs", "count", "if", "of", "skip"];

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(args, ImgArguments.Input + " force-share", new OptionSpec('O', "output-format", true));
        var words = Words(given.Operands);
        int block = words.TryGetValue("bs", out string? bs) ? (int)SizeParser.Argument("bs", bs, 1, int.MaxValue) : 512;
        long? count = words.TryGetValue("count", out string? c) ? SizeParser.Argument("count", c) : null;
        long skip = words.TryGetValue("skip", out string? s) ? SizeParser.Argument("skip", s) : 0;
        if (!words.TryGetValue("if", out string? from) || !words.TryGetValue("of", out string? to))
        {
            throw new ToolException("Must specify both input and output files");
        }

        string format = given["O"] ?? "raw";
        await using var input = await new ImageOpener(ctx.Program, ctx.Error).OpenAsync(from, given.Settings(), given.Has("image-opts"));
        if (format is not ("raw" or "qcow2"))
        {
            throw new ToolException("Unknown file format");
        }

        // the peer counts from the input's beginning, what is skipped included
        long end = count is { } n && n <= long.MaxValue / block ? Math.Min(n * block, input.Device.Length) : input.Device.Length;
        bool isPastEnd = skip > long.MaxValue / block || skip * block > end;
        long start = isPastEnd ? end : skip * block;
        ConvertCommand.RequireOther(to, input);
        bool isZero = await CreateAsync(format, to, end - start);
        var output = await new ImageOpener(ctx.Program, ctx.Error).OpenAsync(to, new OpenSettings { ReadOnly = false, Format = format });
        if (isPastEnd)
        {
            ctx.Report($"{from}: cannot skip to specified offset");
        }

        if (input.Device.Zones is not null)
        {
            ctx.Warn($"'{from}' has zones, and '{to}' has none: its data is copied, its zones and write pointers are not");
        }

        var options = new CopyOptions { Start = start, Length = end - start, TargetIsZero = isZero };
        await output.UseAsync(() => CopyAsync(input.Device, output.Device, options));
        return 0;
    }

    private static Dictionary<string, string> Words(IEnumerable<string> operands)
    {
        var words = new Dictionary<string, string>();
        foreach (string operand in operands)
        {
            int equals = operand.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? operand : operand[..equals];
            if (equals < 0 || !Keys.Contains(key))
            {
                throw new ToolException($"unrecognized operand {key}");
            }

            words[key] = operand[(equals + 1)..];
        }

        return words;
    }

    private static async ValueTask<bool> CreateAsync(string format, string name, long size)
    {
        try
        {
            return await NewImage.MakeAsync(format, name, new CreateOptions(), size);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"{name}: error while creating output image: {e.Message}");
        }
    }

    private static async ValueTask CopyAsync(IBlockDevice input, IBlockDevice output, CopyOptions options)
    {
        try
        {
            await DiskCopy.RunAsync(input, output, options);
            await output.FlushAsync();
        }
        catch (CopyException e)
        {
            throw new ToolException(
                $"error while {(e.IsRead ? "reading from input" : "writing to output")} image file: {CopyText.Cause(e)}");
        }
    }
}
