using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Operations from which a process that opens an image excludes others; both sides of QEMU's image locking.</summary>
public enum ImageLock
{
    /// <summary>No lock is acquired or checked.</summary>
    None,

    /// <summary>Reads; others may not write or resize meanwhile (qemu-img info, map, a convert's source).</summary>
    ReadShared,

    /// <summary>Writes and resizes; others may not.</summary>
    Write,

    /// <summary>Writes and lets others write too: QEMU's lock of a raw image, whose layout holds no metadata to protect.</summary>
    WriteShared,

    /// <summary>Reads whatever others do (-U): only consistent reading is announced.</summary>
    ForceShare,
}

/// <summary>
/// QEMU's image locks: open file description locks on single bytes. Byte 100 + n says "I use permission n", byte 200 + n says
/// "nobody else may use permission n"; both are taken shared, and a conflict shows in probing the opposite byte.
/// </summary>
[SupportedOSPlatform("linux")]
internal static class OfdLocks
{
    private const int UsedBase = 100, UnsharedBase = 200;
    private const int StartingMilliseconds = 50;
    private const int ConsistentRead = 1, Write = 2, Resize = 8;
    private const int WriterUses = ConsistentRead | Write | Resize, WriterExcludes = Write | Resize;
    private static readonly string[] Names = ["consistent read", "write", "write unchanged", "resize"];

    public static void Take(SafeFileHandle file, ImageLock mode, string path)
    {
        if (mode == ImageLock.None)
        {
            return;
        }

        int used = mode switch
        {
            ImageLock.Write => WriterUses,
            ImageLock.WriteShared => ConsistentRead | Write,
            _ => ConsistentRead,
        };
        int unshared = mode is ImageLock.ForceShare or ImageLock.WriteShared ? 0 : WriterExcludes;
        for (int bit = 0; bit < Names.Length; bit++)
        {
            if (((used >> bit) & 1) != 0)
            {
                Set(file, UsedBase + bit, path);
            }

            if (((unshared >> bit) & 1) != 0)
            {
                Set(file, UnsharedBase + bit, path);
            }
        }

        // only after our own bytes are set: of two that start at once, at least one sees the other
        Probe(file, used, UnsharedBase, "", path);
        Probe(file, unshared, UsedBase, "shared ", path);
    }

    /// <summary>
    /// Whether no lock keeps a writer out at this moment; also if the file cannot be opened. Nothing is locked, so that nobody else is
    /// refused meanwhile.
    /// </summary>
    public static bool IsFree(string path)
    {
        try
        {
            using var file = FileOpener.OpenPath(
                ByteText.ToPath(path), Native.OpenCloseOnExec | Native.OpenNonBlocking, EscapedText.Escape(path));
            for (int bit = 0; bit < Names.Length; bit++)
            {
                if ((((WriterUses >> bit) & 1) != 0 && !IsFreeNow(file, UnsharedBase + bit))
                    || (((WriterExcludes >> bit) & 1) != 0 && !IsFreeNow(file, UsedBase + bit)))
                {
                    return false;
                }
            }

            return true;
        }
        catch (BlockException)
        {
            return true;
        }
    }

    // A process that was just started holds the files of its parent until it runs its program: a lock that goes within moments was no
    // one's.
    private static bool IsFree(SafeFileHandle file, int at)
        => IsFreeNow(file, at) || SpinWait.SpinUntil(() => IsFreeNow(file, at), StartingMilliseconds);

    private static bool IsFreeNow(SafeFileHandle file, int at)
    {
        var probe = new Native.FileLock { Type = Native.WriteLock, Start = at, Length = 1 };
        return Native.Control(file, Native.OfdGetLock, ref probe) == 0 && probe.Type == Native.Unlock;
    }

    private static void Set(SafeFileHandle file, int at, string path)
    {
        var request = new Native.FileLock { Type = Native.ReadLock, Start = at, Length = 1 };
        if (Native.Control(file, Native.OfdSetLock, ref request) == 0)
        {
            return;
        }

        int errno = Marshal.GetLastPInvokeError();
        throw new ImageLockedException($"Failed to lock byte {at}", path, errno);
    }

    private static void Probe(SafeFileHandle file, int permissions, int opposite, string kind, string path)
    {
        for (int bit = 0; bit < Names.Length; bit++)
        {
            if (((permissions >> bit) & 1) == 0)
            {
                continue;
            }

            if (!IsFree(file, opposite + bit))
            {
                throw new ImageLockedException($"Failed to get {kind}\"{Names[bit]}\" lock", path, 11);
            }
        }
    }
}

/// <summary>Another process holds the image in a way that excludes this one.</summary>
public sealed class ImageLockedException : BlockException
{
    internal ImageLockedException(string message, string path, int errno)
        : base(BlockError.Busy, message)
    {
        Errno = errno;
        Hint = $"Is another process using the image [{path}]?";
    }

    /// <summary>A second line that helps people find the other process.</summary>
    public string Hint { get; }
}
