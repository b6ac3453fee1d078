using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Opens regular files and block devices, locks them, and rejects everything else.</summary>
internal static class FileOpener
{
    /// <summary>Opens, locks and truncates as the options ask.</summary>
    public static OpenedFile Open(FileOpenOptions options)
    {
        string what = $"Could not open '{EscapedText.Escape(options.Path)}'";
        if (!OperatingSystem.IsLinux())
        {
            return OpenPortable(options, what);
        }

        // opening a FIFO would wait for its other end; O_NONBLOCK has no effect on regular files and block devices
        int flags = Native.OpenCloseOnExec | Native.OpenNonBlocking | (options.ReadOnly ? 0 : Native.OpenReadWrite)
            | (options.Create ? Native.OpenCreate : 0) | (options.DirectIo ? Native.OpenDirect : 0);
        byte[] path = ByteText.ToPath(options.Path);
        return Finish(options.Admit is null ? OpenPath(path, flags, what) : OpenAdmitted(path, flags, options.Admit, what), options, what);
    }

    /// <summary>open(2), repeated when a signal interrupts it.</summary>
    [SupportedOSPlatform("linux")]
    public static SafeFileHandle OpenPath(ReadOnlySpan<byte> path, int flags, string what)
    {
        const int readableByAll = 0x1A4;
        int descriptor;
        do
        {
            descriptor = Native.Open(path, flags, readableByAll);
        }
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw Errno.Failure(Marshal.GetLastPInvokeError(), what);
    }

    private static OpenedFile OpenPortable(FileOpenOptions options, string what)
    {
        if (options.DirectIo)
        {
            throw new BlockException(BlockError.NotSupported, $"{what}: direct I/O needs Linux") { Errno = 95 };
        }

        try
        {
            options.Admit?.Invoke(FileIdentity.OfPortable(options.Path));
            var file = File.OpenHandle(
                options.Path,
                options.Create ? FileMode.OpenOrCreate : FileMode.Open,
                options.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite,
                FileShare.ReadWrite | FileShare.Delete);
            if (options.Truncate)
            {
                RandomAccess.SetLength(file, 0);
            }

            return new OpenedFile(file, options, isBlockDevice: false);
        }
        catch (Exception e) when (OpenedFile.IsFileFailure(e))
        {
            throw Errno.Translate(e, what);
        }
    }

    // O_PATH has no effect on the file, while opening a device may; the second open goes through the descriptor, so that it opens what was
    // admitted even if the name leads elsewhere by then
    [SupportedOSPlatform("linux")]
    private static SafeFileHandle OpenAdmitted(byte[] path, int flags, Action<FileFacts> admit, string what)
    {
        using var found = OpenPath(path, Native.OpenCloseOnExec | Native.OpenPathOnly, what);
        admit(FileIdentity.Of(found, what));
        return OpenPath(ByteText.ToPath($"/proc/self/fd/{found.DangerousGetHandle()}"), flags, what);
    }

    [SupportedOSPlatform("linux")]
    private static OpenedFile Finish(SafeFileHandle file, FileOpenOptions options, string what)
    {
        try
        {
            int type = FileIdentity.Stat(file, options.Path).Mode & FileIdentity.TypeMask;
            if (type == FileIdentity.TypeDirectory)
            {
                throw Errno.Failure(21, what);
            }

            if (type is FileIdentity.TypeFifo or FileIdentity.TypeSocket)
            {
                throw new WrongFileTypeException(options.Path);
            }

            OfdLocks.Take(file, options.Lock, options.Path);
            if (options.Truncate && type != FileIdentity.TypeBlock)
            {
                RandomAccess.SetLength(file, 0);
            }

            return new OpenedFile(file, options, type == FileIdentity.TypeBlock, type == FileIdentity.TypeCharacter);
        }
        catch (Exception e)
        {
            file.Dispose();
            if (e is not BlockException && OpenedFile.IsFileFailure(e))
            {
                throw Errno.Translate(e, what);
            }

            throw;
        }
    }
}
