using System.Diagnostics;

namespace Paddock.Testing;

/// <summary>Block device over a file, if the system permits it.</summary>
public sealed class LoopDevice : IAsyncDisposable
{
    private LoopDevice(string path) => Path = path;

    /// <summary>Device node.</summary>
    public string Path { get; }

    /// <summary>Creates a loop device; null if that is not possible here: it needs root and losetup.</summary>
    public static async Task<LoopDevice?> OfAsync(string file)
    {
        if (!Environment.IsPrivilegedProcess || !File.Exists("/usr/sbin/losetup"))
        {
            return null;
        }

        var (code, output) = await RunAsync("-f", "--show", file);
        return code == 0 ? new LoopDevice(output.Trim()) : null;
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
