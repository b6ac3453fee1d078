using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Which file a name or a descriptor leads to.</summary>
internal static class FileIdentity
{
    /// <summary>Bits of a mode that hold the type of the file, and their values.</summary>
    internal const ushort TypeMask = 0xF000, TypeFifo = 0x1000, TypeCharacter = 0x2000, TypeDirectory = 0x4000, TypeBlock = 0x6000,
        TypeRegular = 0x8000, TypeSocket = 0xC000;

    /// <summary>Whether two names lead to the same file or device, whatever the names are; false if one of them leads nowhere.</summary>
    public static bool IsSameFile(string one, string other)
        => IdentityOf(one) is { } identity && identity == IdentityOf(other);

    /// <summary>Whether the name exists, even as a dangling symbolic link.</summary>
    public static bool IsTaken(string path) => IdentityOf(path, follow: false) is not null;

    /// <summary>Describes an open file.</summary>
    internal static FileFacts Of(SafeFileHandle file, string name)
        => OperatingSystem.IsLinux() ? FactsOf(file, name) : OfPortable(name);

    /// <summary>Describes a file by its name, for systems without /proc.</summary>
    internal static FileFacts OfPortable(string path)
    {
        string real = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        return new FileFacts(real, real, File.Exists(real));
    }

    /// <summary>Asks the system for type, place and size of an open file (statx).</summary>
    [SupportedOSPlatform("linux")]
    internal static FileStatus Stat(SafeFileHandle file, string name)
    {
        // struct statx, the same on every architecture
        const int emptyPath = 0x1000, basicStats = 0x7FF;
        Span<byte> result = stackalloc byte[256];
        return Native.Stat(file, "", emptyPath, basicStats, result) == 0
            ? new FileStatus(
                MemoryMarshal.Read<ushort>(result[28..]), MemoryMarshal.Read<ulong>(result[32..]), MemoryMarshal.Read<long>(result[48..]),
                MemoryMarshal.Read<ulong>(result[128..]), MemoryMarshal.Read<ulong>(result[136..]))
            : throw Errno.Failure(Marshal.GetLastPInvokeError(), $"Could not stat '{name}'");
    }

    [SupportedOSPlatform("linux")]
    private static FileFacts FactsOf(SafeFileHandle file, string what)
    {
        const int longest = 65536;
        var path = new byte[longest];
        nint length = Native.ReadLink(ByteText.ToPath($"/proc/self/fd/{file.DangerousGetHandle()}"), path, longest);
        if (length < 0)
        {
            throw Errno.Failure(Marshal.GetLastPInvokeError(), $"{what}: resolving its name by /proc failed");
        }

        var status = Stat(file, what);
        int type = status.Mode & TypeMask;
        string identity = type == TypeBlock ? $"device {status.Target}" : $"{status.Device}:{status.Inode}";
        return new FileFacts(ByteText.FromBytes(path.AsSpan(0, (int)length)), identity, type is TypeBlock or TypeRegular);
    }

    private static string? IdentityOf(string path, bool follow = true)
    {
        if (!OperatingSystem.IsLinux())
        {
            return File.Exists(path) ? OfPortable(path).Identity : null;
        }

        try
        {
            int flags = Native.OpenCloseOnExec | Native.OpenPathOnly | (follow ? 0 : Native.OpenNoFollow);
            using var found = FileOpener.OpenPath(ByteText.ToPath(path), flags, path);
            return FactsOf(found, path).Identity;
        }
        catch (BlockException)
        {
            return null;
        }
    }
}

/// <summary>What statx reports of a file.</summary>
/// <param name="Mode">Type and permissions.</param>
/// <param name="Inode">Its number on its file system.</param>
/// <param name="Blocks">Allocated units of 512 bytes.</param>
/// <param name="Target">For a device file: the device.</param>
/// <param name="Device">The device that holds the file.</param>
internal readonly record struct FileStatus(ushort Mode, ulong Inode, long Blocks, ulong Target, ulong Device);
