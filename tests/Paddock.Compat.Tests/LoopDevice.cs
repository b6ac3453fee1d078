using System.Diagnostics;

namespace Paddock.Compat.Tests;

/// <summary>Block device over a file, if the system permits it.</summary>
internal sealed class LoopDevice : IAsyncDisposable
{
    private LoopDevice(string path) => Path = path;

    /// <summary>Device node.</summary>
    public string Path { get; }

    /// <summary>Creates a loop device; skips the test if that is not possible.</summary>
    public static async Task<LoopDevice> OfAsync(string file)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists("/usr/sbin/losetup"), "loop devices need root and losetup");
        var (code, output) = await RunAsync("-f", "--show", file);
        Assert.SkipUnless(code == 0, "no loop device can be set up here");
        return new LoopDevice(output.Trim());
    }

    public async ValueTask DisposeAsync() => await RunAsync("-d", Path);

    private static async Task<(int Code, string Out)> RunAsync(params string[] words)
    {
        using var process = Process.Start(new ProcessStartInfo("/usr/sbin/losetup", words) { RedirectStandardOutput = true })!;
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output);
    }
}
