using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;
using Paddock.Qcow2.Check;

namespace Paddock.Compat.Img;

/// <summary><c>check</c>: checks an image and repairs it on request.</summary>
internal static class CheckCommand
{
    private const int Failed = 1, Corrupt = 2, Leaky = 3, NotSupported = 63;

    public static async Task<int> RunAsync(string[] args, ToolContext ctx)
    {
        var given = new ImgArguments(
            args, ImgArguments.Input + " output quiet force-share", new('r', "repair", true), new('T', "cache", true));
        ImageOpener.CheckSourceCache(given["T"]);
        if (given.Operands.Count != 1)
        {
            throw new UsageException("Expecting one image file name");
        }

        var repair = given["r"] switch
        {
            null => Qcow2Repair.None,
            "leaks" => Qcow2Repair.Leaks,
            "all" => Qcow2Repair.All,
            var other => throw new UsageException($"--repair (-r) expects 'leaks' or 'all' not '{other}'"),
        };
        var settings = given.Settings(readOnly: repair == Qcow2Repair.None) with { NoBacking = true, ForCheck = true };
        string path;
        await using (
            var node = await new ImageOpener(ctx.Program, ctx.Error).OpenAsync(given.Operands[0], settings, given.Has("image-opts")))
        {
            if (node.Qcow2 is null)
            {
                throw new ToolException("This image format does not support checks", NotSupported);
            }

            path = node.Storage.Name;
        }

        await using var storage = await RemoteStorage.TryOpenAsync(path, settings)
            ?? ImageOpener.OpenFile(path, repair == Qcow2Repair.None, given.Has("U"));
        Qcow2CheckReport report;
        try
        {
            report = await CheckAsync(ctx, storage, repair);
        }
        catch (CheckEndedException e)
        {
            ctx.Report(e.Message);
            ctx.Report($"Check failed: {ErrorText.Of(e)}");
            return Failed;
        }

        bool repaired = report.CorruptionsFixed + report.LeaksFixed > 0;
        if (repaired && !given.Json && !given.Has("q"))
        {
            ctx.Line("The following inconsistencies were found and repaired:\n");
            ctx.Line($"    {report.LeaksFixed} leaked clusters\n    {report.CorruptionsFixed} corruptions\n");
            ctx.Line("Double checking the fixed image now...");
            var first = report;
            report = await CheckAsync(ctx, storage, Qcow2Repair.None);
            report.LeaksFixed = first.LeaksFixed;
            report.CorruptionsFixed = first.CorruptionsFixed;
        }

        if (given.Json)
        {
            ctx.Line(JsonText.Pretty(Describe(report, given.Operands[0])));
        }
        else if (!given.Has("q"))
        {
            Print(ctx, report);
        }

        return report.Corruptions > 0 ? Corrupt : report.CheckErrors > 0 ? Failed : report.Leaks > 0 ? Leaky : 0;
    }

    private static async ValueTask<Qcow2CheckReport> CheckAsync(ToolContext ctx, IStorage storage, Qcow2Repair repair)
    {
        var findings = new BoundedLines(line => ctx.Error.Write(line + "\n"), BoundedLines.Findings);
        var report = await Qcow2Image.CheckAsync(storage, repair, findings.Add);
        findings.End();
        return report;
    }

    private static void Print(ToolContext ctx, Qcow2CheckReport report)
    {
        if (report.Corruptions + report.Leaks + report.CheckErrors == 0)
        {
            ctx.Line("No errors were found on the image.");
        }

        if (report.Corruptions > 0)
        {
            ctx.Line($"\n{report.Corruptions} errors were found on the image.\n"
                + "Data may be corrupted, or further writes to the image may corrupt it.");
        }

        if (report.Leaks > 0)
        {
            ctx.Line($"\n{report.Leaks} leaked clusters were found on the image.\n"
                + "This means waste of disk space, but no harm to data.");
        }

        if (report.CheckErrors > 0)
        {
            ctx.Line($"\n{report.CheckErrors} internal errors have occurred during the check.");
        }

        if (report.TotalClusters != 0 && report.AllocatedClusters != 0)
        {
            double allocated = report.AllocatedClusters;
            ctx.Line(FormattableString.Invariant(
                $"{report.AllocatedClusters}/{report.TotalClusters} = {allocated * 100 / report.TotalClusters:F2}% allocated, {
                    report.FragmentedClusters * 100 / allocated:F2}% fragmented, {
                    report.CompressedClusters * 100 / allocated:F2}% compressed clusters"));
        }

        if (report.ImageEndOffset > 0)
        {
            ctx.Line($"Image end offset: {report.ImageEndOffset}");
        }
    }

    private static QDict Describe(Qcow2CheckReport report, string name)
    {
        var described = new QDict().With("filename", name).With("format", "qcow2").With("check-errors", report.CheckErrors);
        foreach (var (key, count) in new[]
        {
            ("image-end-offset", report.ImageEndOffset), ("corruptions", report.Corruptions), ("leaks", report.Leaks),
            ("corruptions-fixed", report.CorruptionsFixed), ("leaks-fixed", report.LeaksFixed), ("total-clusters", report.TotalClusters),
            ("allocated-clusters", report.AllocatedClusters), ("fragmented-clusters", report.FragmentedClusters),
            ("compressed-clusters", report.CompressedClusters),
        })
        {
            described.WithIf(count != 0, key, count);
        }

        return described;
    }
}
