using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Small files that are written whole, durably.</summary>
internal static class DurableFiles
{
    private const string TemporarySuffix = ".tmp";

    /// <summary>Replaces a file, or creates it: after a crash it has its old contents or its new ones.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        string temporary = path + TemporarySuffix;
        using (var file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, contents, 0);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(temporary, path, overwrite: true);
        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Makes durable which files a directory has, and their names. Does nothing except on Linux.</summary>
    /// <exception cref="IOException">The directory cannot be opened or flushed.</exception>
    public static void SyncFolder(string path)
    {
        const int closeOnExec = 0x80000;
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        int descriptor = Native.Open(ByteText.ToPath(path), closeOnExec, 0);
        using var handle = descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw Failure(path);
        if (Native.SyncData(handle) != 0)
        {
            throw Failure(path);
        }
    }

    private static IOException Failure(string path)
        => new($"'{path}': {Errno.Describe(Marshal.GetLastPInvokeError())}");
}
