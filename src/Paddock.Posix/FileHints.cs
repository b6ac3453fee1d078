using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>Hints to the file system about a new file, which must be empty.</summary>
internal static class FileHints
{
    private const int NoCopyOnWrite = 0x0080_0000;
    private const uint ExtentSizeFlag = 0x0000_0800;

    /// <summary>Turns copy-on-write off, where the file system has it and can (FS_NOCOW_FL of btrfs).</summary>
    public static void TurnOffCopyOnWrite(SafeFileHandle file)
    {
        int flags = 0;
        if (OperatingSystem.IsLinux() && Native.DeviceControl(file, Native.GetFileFlags, ref flags) == 0)
        {
            flags |= NoCopyOnWrite;
            Native.DeviceControl(file, Native.SetFileFlags, ref flags);
        }
    }

    /// <summary>Sets the size in which the file system should allocate space (FS_IOC_FSSETXATTR).</summary>
    /// <param name="file">The file.</param>
    /// <param name="bytes">The size; 0: the file system's own.</param>
    /// <returns>Errno; 0: it is set.</returns>
    public static int SetExtentSize(SafeFileHandle file, uint bytes)
    {
        const int notSupported = 95;
        return OperatingSystem.IsLinux() ? SetExtentSizeOnLinux(file, bytes) : notSupported;
    }

    [SupportedOSPlatform("linux")]
    private static int SetExtentSizeOnLinux(SafeFileHandle file, uint bytes)
    {
        var attributes = default(FileAttributes);
        if (Native.FileAttributes(file, Native.GetExtendedAttributes, ref attributes) != 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        attributes.Flags |= ExtentSizeFlag;
        attributes.ExtentSize = bytes;
        return Native.FileAttributes(file, Native.SetExtendedAttributes, ref attributes) != 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>The kernel's <c>struct fsxattr</c>: 28 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 28)]
    internal struct FileAttributes
    {
        public uint Flags;
        public uint ExtentSize;
    }
}
