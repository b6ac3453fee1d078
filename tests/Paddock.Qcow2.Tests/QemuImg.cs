using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Qcow2.Tests;

/// <summary>Runs the real qemu-img and qemu-io; a machine without them fails the test.</summary>
internal static class QemuImg
{
    public static (int Code, string Output) Run(string program, params string[] arguments)
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
        return (process.ExitCode, output + error.GetAwaiter().GetResult());
    }

    public static void AssertClean(string path)
    {
        var (code, output) = Run("qemu-img", "check", path);
        Assert.True(code == 0, output);
    }

    /// <summary>Copies a storage to a file that is deleted with the returned object.</summary>
    public static TemporaryFile Save(IStorage storage)
    {
        var file = new TemporaryFile();
        var bytes = new byte[storage.Length];
        storage.ReadAsync(0, bytes).AsTask().GetAwaiter().GetResult();
        File.WriteAllBytes(file.Path, bytes);
        return file;
    }
}

internal sealed class TemporaryFile : IDisposable
{
    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"paddock-{Guid.NewGuid():n}");

    public void Dispose() => File.Delete(Path);
}
