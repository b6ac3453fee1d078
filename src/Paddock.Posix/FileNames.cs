using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// Files by names that need not be UTF-8 (<see cref="ByteText"/>), which the runtime's own calls would not find. Other names go to those
/// calls.
/// </summary>
internal static class FileNames
{
    private const int WorkingDirectory = -100, BasicStats = 0x7FF, CreationMode = 0x1B6, Missing = 2;

    /// <summary>Whether something has this name.</summary>
    public static bool Exists(string path)
    {
        if (!NeedsBytes(path) || !OperatingSystem.IsLinux())
        {
            return Path.Exists(path);
        }

        Span<byte> result = stackalloc byte[256];
        using var here = new SafeFileHandle(WorkingDirectory, ownsHandle: false);
        return Native.Stat(here, path, 0, BasicStats, result) == 0;
    }

    /// <summary>Removes a file if it exists.</summary>
    public static void Delete(string path)
    {
        if (!NeedsBytes(path) || !OperatingSystem.IsLinux())
        {
            File.Delete(path);
        }
        else if (Native.Remove(ByteText.ToPath(path)) != 0 && Marshal.GetLastPInvokeError() is var errno and not Missing)
        {
            throw new IOException(Errno.Describe(errno));
        }
    }

    /// <summary>Sets the permissions of a file.</summary>
    [System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
    public static void SetMode(string path, UnixFileMode mode)
    {
        if (!NeedsBytes(path) || !OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(path, mode);
        }
        else if (Native.ChangeMode(path, (uint)mode) != 0)
        {
            throw new IOException(Errno.Describe(Marshal.GetLastPInvokeError()));
        }
    }

    /// <summary>Opens a file for reading.</summary>
    public static FileStream OpenRead(string path) => NeedsBytes(path) && OperatingSystem.IsLinux()
        ? new FileStream(Open(path, Native.OpenCloseOnExec), FileAccess.Read)
        : new FileStream(path, FileMode.Open, FileAccess.Read);

    /// <summary>The bytes of a file.</summary>
    public static byte[] ReadAllBytes(string path)
    {
        using var file = OpenRead(path);
        using var bytes = new MemoryStream();
        file.CopyTo(bytes);
        return bytes.ToArray();
    }

    /// <summary>The text of a file.</summary>
    public static string ReadAllText(string path)
    {
        using var reader = new StreamReader(OpenRead(path));
        return reader.ReadToEnd();
    }

    /// <summary>Replaces a file by a text.</summary>
    public static void WriteAllText(string path, string text)
    {
        if (!NeedsBytes(path) || !OperatingSystem.IsLinux())
        {
            File.WriteAllText(path, text);
            return;
        }

        const int writeOnly = 1;
        using var file = new FileStream(
            Open(path, writeOnly | Native.OpenCreate | Native.OpenTruncate | Native.OpenCloseOnExec), FileAccess.Write);
        file.Write(Encoding.UTF8.GetBytes(text));
    }

    /// <summary>Opens a file for appending; it is created if it does not exist.</summary>
    public static FileStream OpenAppend(string path)
    {
        const int writeOnly = 1, append = 0x400;
        return !OperatingSystem.IsLinux() ? new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, 0)
            : new FileStream(Open(path, writeOnly | append | Native.OpenCreate | Native.OpenCloseOnExec), FileAccess.Write, 0);
    }

    /// <summary>
    /// The arguments of the process with the bytes that were given: the runtime puts U+FFFD in the place of those that are not UTF-8.
    /// </summary>
    /// <param name="args">The arguments as the runtime has them.</param>
    public static string[] ExactArguments(string[] args)
    {
        if (!OperatingSystem.IsLinux() || !Array.Exists(args, static a => a.Contains('\ufffd', StringComparison.Ordinal)))
        {
            return args;
        }

        var words = new List<string>();
        var rest = File.ReadAllBytes("/proc/self/cmdline").AsSpan();
        for (int end = rest.IndexOf((byte)0); end >= 0; end = rest.IndexOf((byte)0))
        {
            words.Add(ByteText.FromBytes(rest[..end]));
            rest = rest[(end + 1)..];
        }

        // before them: the program, and the runtime's own
        return words.Count < args.Length ? args : [.. words[^args.Length..]];
    }

    private static bool NeedsBytes(string path) => path.AsSpan().ContainsAnyInRange('\udc80', '\udcff');

    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    private static SafeFileHandle Open(string path, int flags)
    {
        int descriptor = Native.Open(ByteText.ToPath(path), flags, CreationMode);
        if (descriptor >= 0)
        {
            return new SafeFileHandle(descriptor, ownsHandle: true);
        }

        int errno = Marshal.GetLastPInvokeError();
        throw errno == Missing ? new FileNotFoundException(Errno.Describe(errno)) : new IOException(Errno.Describe(errno));
    }
}
