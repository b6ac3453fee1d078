using System.Text.Json;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock check`: checks the metadata of an image and repairs it on request.</summary>
public static class CheckVerb
{
    /// <summary>Checks the image and prints the findings.</summary>
    /// <returns>The exit code.</returns>
    public static async ValueTask<int> RunAsync(
        string path, Qcow2Repair repair, bool json, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await using var storage = NativeImage.OpenFile(path, writable: repair != Qcow2Repair.None);
        if (!await Qcow2Image.ProbeAsync(storage, cancellationToken))
        {
            throw new ToolException($"'{path}' is not a qcow2 image");
        }

        var findings = new BoundedLines(console.Error.WriteLine, BoundedLines.Findings);
        var report = await Qcow2Image.CheckAsync(
            storage,
            repair,
            findings.Add,
            share => console.Progress("checking", share),
            cancellationToken);
        console.EndProgress();
        findings.End();
        if (json)
        {
            WriteJson(path, report, console);
        }
        else
        {
            console.Out.WriteLine($"{EscapedText.Escape(path)}: {Verdict(report)}");
        }

        return report.CheckErrors > 0 ? NativeExit.Failure
            : report.Corruptions > 0 ? NativeExit.Corrupt
            : report.Leaks > 0 ? NativeExit.Leaks
            : NativeExit.Success;
    }

    private static string Verdict(Qcow2CheckReport report)
    {
        var parts = new List<string>();
        void Add(long count, string what)
        {
            if (count > 0)
            {
                parts.Add($"{count} {what}");
            }
        }

        Add(report.CorruptionsFixed, "corruptions repaired");
        Add(report.LeaksFixed, "leaked clusters freed");
        Add(report.Corruptions, "corruptions (--repair all repairs what can be repaired)");
        Add(report.Leaks, "leaked clusters (harmless; --repair leaks frees them)");
        Add(report.CheckErrors, "parts that could not be read");
        string found = parts.Count == 0 ? "no errors" : string.Join(", ", parts);
        return $"{found}; {report.AllocatedClusters} of {report.TotalClusters} clusters in use";
    }

    private static void WriteJson(string path, Qcow2CheckReport report, NativeConsole console)
    {
        console.Out.Flush();
        using var json = new Utf8JsonWriter(console.OutStream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("image", path);
        json.WriteNumber("corruptions", report.Corruptions);
        json.WriteNumber("leaks", report.Leaks);
        json.WriteNumber("check_errors", report.CheckErrors);
        json.WriteNumber("corruptions_fixed", report.CorruptionsFixed);
        json.WriteNumber("leaks_fixed", report.LeaksFixed);
        json.WriteNumber("total_clusters", report.TotalClusters);
        json.WriteNumber("allocated_clusters", report.AllocatedClusters);
        json.WriteNumber("image_end_offset", report.ImageEndOffset);
        json.WriteEndObject();
        json.Flush();
        console.Out.WriteLine();
    }
}
