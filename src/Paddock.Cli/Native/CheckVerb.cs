using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock check`: checks the metadata of an image and repairs it on request.</summary>
public static class CheckVerb
{
    /// <summary>Checks the image and prints the findings.</summary>
    /// <param name="path">A file, or the name of a disk at a server that holds a qcow2 image.</param>
    /// <param name="repair">What to repair.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives progress, findings and the verdict.</param>
    /// <param name="forceShare">Whether to read the file even if another process writes to it.</param>
    /// <param name="cancellationToken">Stops the check.</param>
    /// <returns>The exit code.</returns>
    public static async ValueTask<int> RunAsync(
        string path, Qcow2Repair repair, bool json, NativeConsole console, bool forceShare = false,
        CancellationToken cancellationToken = default)
    {
        await using var storage = await OpenAsync(path, repair != Qcow2Repair.None, forceShare, console, cancellationToken);
        var findings = new BoundedLines(console.Error.WriteLine, BoundedLines.Findings);
        var report = await Qcow2Image.CheckAsync(
            storage,
            repair,
            findings.Add,
            share => console.Progress("checking", share),
            cancellationToken);
        console.EndProgress();
        findings.End();
        console.Out.WriteLine(json ? JsonText.ReadableLines(Fields(path, report)) : $"{EscapedText.Escape(path)}: {Verdict(report)}");
        return report.CheckErrors > 0 ? NativeExit.Failure
            : report.Corruptions > 0 ? NativeExit.Corrupt
            : report.Leaks > 0 ? NativeExit.Leaks
            : NativeExit.Success;
    }

    private static async ValueTask<IStorage> OpenAsync(
        string path, bool writable, bool forceShare, NativeConsole console, CancellationToken cancellationToken)
    {
        bool isRemote = RemoteDisk.Is(path);
        var storage = isRemote
            ? (await RemoteDisk.OpenAsync(path, writable, console, cancellationToken)).AsStorage()
            : await NativeImage.OpenStorageAsync(path, writable, forceShare);
        // a namespace is read in blocks only, and an image inside it would have to be opened by the host that uses it
        if (!NvmeName.Is(path) && await Qcow2Image.ProbeAsync(storage, cancellationToken))
        {
            return storage;
        }

        await storage.DisposeAsync();
        throw new ToolException(isRemote
            ? $"'{path}' is a raw disk, which has nothing to check; check the image behind it as a file, while no server has it open"
            : $"'{path}' is not a qcow2 image: it has nothing to check");
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

    private static JsonFields Fields(string path, Qcow2CheckReport report) => new()
    {
        { "image", path },
        { "corruptions", report.Corruptions },
        { "leaks", report.Leaks },
        { "check_errors", report.CheckErrors },
        { "corruptions_fixed", report.CorruptionsFixed },
        { "leaks_fixed", report.LeaksFixed },
        { "total_clusters", report.TotalClusters },
        { "allocated_clusters", report.AllocatedClusters },
        { "image_end_offset", report.ImageEndOffset },
    };
}
