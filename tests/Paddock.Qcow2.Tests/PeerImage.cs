using System.Diagnostics;
using Paddock.Block;

namespace Paddock.Qcow2.Tests;

/// <summary>Images that go to and come from the real qemu-img; a machine without it fails the test.</summary>
internal static class PeerImage
{
    /// <summary>Runs a program and returns what it printed; anything but exit code 0 fails the test.</summary>
    public static string Run(string program, params string[] arguments)
    {
        var (code, output) = TryRun(program, arguments);
        Assert.True(code == 0, $"{program} {string.Join(' ', arguments)}: {output}");
        return output;
    }

    /// <summary>Runs a program; its exit code and what it printed.</summary>
    public static (int Code, string Output) TryRun(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.GetAwaiter().GetResult());
    }

    /// <summary>A file's bytes in memory; runs of zeroes take none.</summary>
    public static MemoryStorage Load(string path)
    {
        var storage = new MemoryStorage();
        using var file = File.OpenRead(path);
        var buffer = new byte[65536];
        for (long at = 0; file.Read(buffer) is > 0 and var count; at += count)
        {
            if (buffer.AsSpan(0, count).ContainsAnyExcept((byte)0))
            {
                storage.WriteAsync(at, buffer.AsMemory(0, count)).AsTask().GetAwaiter().GetResult();
            }
        }

        storage.SetLengthAsync(file.Length).AsTask().GetAwaiter().GetResult();
        return storage;
    }

    /// <summary>Writes a storage to a file; runs of zeroes become holes.</summary>
    public static void Save(IStorage storage, string path)
    {
        using var file = File.Create(path);
        var buffer = new byte[65536];
        for (long at = 0; at < storage.Length; at += buffer.Length)
        {
            var piece = buffer.AsMemory(0, (int)Math.Min(buffer.Length, storage.Length - at));
            storage.ReadAsync(at, piece).AsTask().GetAwaiter().GetResult();
            if (piece.Span.ContainsAnyExcept((byte)0))
            {
                file.Position = at;
                file.Write(piece.Span);
            }
        }

        file.SetLength(storage.Length);
    }
}
