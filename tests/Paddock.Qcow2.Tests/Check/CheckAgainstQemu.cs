using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json;
using Paddock.Block;

namespace Paddock.Qcow2.Tests.Check;

/// <summary>Runs QEMU's tools on an image in a temporary folder and our checker on a copy in memory.</summary>
internal sealed class CheckAgainstQemu : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-check").FullName;

    public string Path => System.IO.Path.Combine(_folder, "t.qcow2");

    public void Dispose() => Directory.Delete(_folder, true);

    public static (int Exit, string Out, string Error) Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    public void Create(string size, string options)
        => Assert.Equal(0, Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, Path, size).Exit);

    public void Io(params string[] commands)
        => Assert.Equal(0, Run("qemu-io", ["-f", "qcow2", Path, .. commands.SelectMany(static c => new[] { "-c", c })]).Exit);

    public void Patch(long offset, params byte[] bytes)
    {
        using var file = File.OpenWrite(Path);
        file.Position = offset;
        file.Write(bytes);
    }

    public void Patch64(long offset, ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        Patch(offset, bytes);
    }

    public ulong Read64(long offset) => BinaryPrimitives.ReadUInt64BigEndian(File.ReadAllBytes(Path).AsSpan((int)offset));

    public async Task<MemoryStorage> LoadAsync() => await LoadAsync(File.ReadAllBytes(Path));

    public static async Task<MemoryStorage> LoadAsync(byte[] bytes)
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(0, bytes);
        return storage;
    }

    public async Task StoreAsync(MemoryStorage storage)
    {
        var bytes = new byte[storage.Length];
        await storage.ReadAsync(0, bytes);
        File.WriteAllBytes(Path, bytes);
    }

    /// <summary>Our lines and counts are QEMU's; after our repair of everything QEMU finds nothing.</summary>
    public async Task AssertSameAsync(bool repairs = true, bool sameRepair = true)
    {
        var (_, json, error) = Run("qemu-img", "check", "-f", "qcow2", "--output=json", Path);
        var storage = await LoadAsync();
        List<string> lines = [];
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.Equal(CheckLines(error), string.Join('\n', lines));
        using var theirs = JsonDocument.Parse(json);
        long Count(string name) => theirs.RootElement.TryGetProperty(name, out var value) ? value.GetInt64() : 0;
        Assert.Equal(
            (Count("check-errors"), Count("corruptions"), Count("leaks"), Count("total-clusters"), Count("allocated-clusters"),
                Count("fragmented-clusters"), Count("compressed-clusters"), Count("image-end-offset")),
            (report.CheckErrors, report.Corruptions, report.Leaks, report.TotalClusters, report.AllocatedClusters,
                report.FragmentedClusters, report.CompressedClusters, report.ImageEndOffset));
        if (repairs)
        {
            await AssertMendsAsync(storage, sameRepair);
        }
    }

    /// <summary>The lines of the check itself; the tool's own begin with its name.</summary>
    private static string CheckLines(string error)
        => string.Join('\n', error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static l => !l.StartsWith("qemu-img:")));

    private async Task AssertMendsAsync(MemoryStorage storage, bool sameRepair)
    {
        List<string> lines = [];
        await Qcow2Image.CheckAsync(storage, Qcow2Repair.All, lines.Add);
        if (sameRepair)
        {
            AssertSameRepair(lines);
        }

        await StoreAsync(storage);
        var (exit, output, error) = Run("qemu-img", "check", "-f", "qcow2", Path);
        Assert.True(exit == 0, output + error);
    }

    private void AssertSameRepair(List<string> lines)
    {
        string copy = Path + ".copy";
        File.Copy(Path, copy, true);
        string theirs = Run("qemu-img", "check", "-f", "qcow2", "-r", "all", copy).Error;
        Assert.Equal(CheckLines(theirs), string.Join('\n', lines));
    }
}
