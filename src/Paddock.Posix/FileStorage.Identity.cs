using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Which file it is.</summary>
public sealed partial class FileStorage
{
    /// <summary>Whether it is a block device: it keeps its length, and holds what was written to it before.</summary>
    public bool IsBlockDevice => _isBlockDevice;

    /// <summary>Whether two names lead to the same file, whatever the names are; false where one of them leads to none.</summary>
    public static bool IsSameFile(string one, string other)
        => OperatingSystem.IsLinux()
            ? IdentityOf(one) is { } identity && identity == IdentityOf(other)
            : Path.GetFullPath(one) == Path.GetFullPath(other);

    [SupportedOSPlatform("linux")]
    private static (ulong Device, ulong Inode)? IdentityOf(string path)
    {
        // a path handle opens nothing: no FIFO waits for its other end
        const int PathOnly = 0x200000;
        int descriptor = Native.Open(path, PathOnly | Native.OpenCloseOnExec, 0);
        if (descriptor < 0)
        {
            return null;
        }

        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);

        // struct statx: inode at byte 32, the device of a device node at 128 and 132, that of the file system at 136 and 140
        const int emptyPath = 0x1000, basicStats = 0x7FF;
        Span<byte> result = stackalloc byte[256];
        if (Native.Stat(handle, "", emptyPath, basicStats, result) != 0)
        {
            return null;
        }

        bool isDevice = (MemoryMarshal.Read<ushort>(result[28..]) & TypeMask) == TypeBlock;
        return isDevice
            ? (MemoryMarshal.Read<ulong>(result[128..]), ulong.MaxValue)
            : (MemoryMarshal.Read<ulong>(result[136..]), MemoryMarshal.Read<ulong>(result[32..]));
    }
}
