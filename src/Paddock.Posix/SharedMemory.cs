using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>A part of a file of memory that several processes share, mapped until it is disposed.</summary>
/// <remarks>
/// Touching a page that the file no longer covers ends the process (SIGBUS). The file's length is checked when it is mapped, and where the
/// file permits it (memfd_create with MFD_ALLOW_SEALING) it is sealed against getting shorter; <see cref="MayFault"/> is set for others. It
/// is set for huge pages, too: their owner can free one (fallocate) and leave no other to replace it.
/// </remarks>
[SupportedOSPlatform("linux")]
internal sealed class SharedMemory : SafeHandle
{
    /// <summary>The longest part that is mapped, in bytes: more than any machine's address space has room for.</summary>
    public const long Longest = 1L << 46;

    private const ushort TypeMask = 0xF000, TypeRegular = 0x8000;

    private readonly nuint _mapped;

    private SharedMemory(nint mapping, nuint mapped, int skip, long length, bool mayFault)
        : base(0, ownsHandle: true)
    {
        SetHandle(mapping);
        _mapped = mapped;
        Start = mapping + skip;
        Length = length;
        MayFault = mayFault;
    }

    /// <summary>Address of the first byte of the part.</summary>
    public nint Start { get; }

    /// <summary>The part's bytes.</summary>
    public long Length { get; }

    /// <summary>Whether other holders of the file can remove its pages, so that touching them raises SIGBUS.</summary>
    public bool MayFault { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Makes a file of memory that can neither shrink nor grow.</summary>
    /// <param name="name">What it is called in /proc.</param>
    /// <param name="length">Bytes, of zeroes.</param>
    /// <exception cref="IOException">There is no memory for it.</exception>
    public static SafeFileHandle Create(string name, long length)
    {
        int descriptor = Native.CreateMemory(name, Native.MemoryCloseOnExec | Native.MemorySealing);
        if (descriptor < 0)
        {
            throw new IOException($"memory to share cannot be had: {Errno.Describe(Marshal.GetLastPInvokeError())}");
        }

        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        if (Native.SetLength(file, length) < 0
            || Native.Control(file, Native.AddSeals, Native.SealShrink | Native.SealGrow | Native.SealSeal) < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            file.Dispose();
            throw new IOException($"{length} bytes of memory to share cannot be had: {Errno.Describe(errno)}");
        }

        return file;
    }

    /// <summary>Maps a part of a file; the file may be closed afterwards.</summary>
    /// <param name="file">A regular file: memfd, hugetlbfs or tmpfs.</param>
    /// <param name="offset">The part's first byte; any multiple of anything, huge pages too.</param>
    /// <param name="length">Its bytes, at least 1.</param>
    /// <param name="mustBeSealed">Whether a file is refused whose pages can be removed: <see cref="MayFault"/> is false then.</param>
    /// <param name="writable">Whether it is mapped for writing, too; a descriptor that is open for reading only requires false.</param>
    /// <exception cref="MappingLimitException">This process maps too much already.</exception>
    /// <exception cref="IOException">It is another kind of file, does not cover the part, or cannot be mapped.</exception>
    public static SharedMemory Map(SafeFileHandle file, long offset, long length, bool mustBeSealed = false, bool writable = true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Longest);

        // struct statx: block size at byte 4, mode at 28, size at 40. The block of hugetlbfs is its huge page
        const int emptyPath = 0x1000, basicStats = 0x7FF;
        Span<byte> facts = stackalloc byte[256];
        if (Native.Stat(file, "", emptyPath, basicStats, facts) < 0)
        {
            throw new IOException($"memory to share cannot be asked for its length: {Errno.Describe(Marshal.GetLastPInvokeError())}");
        }

        if ((MemoryMarshal.Read<ushort>(facts[28..]) & TypeMask) != TypeRegular)
        {
            throw new IOException("memory to share must be a regular file or a memfd");
        }

        int seals = Native.Control(file, Native.AddSeals, Native.SealShrink) < 0 ? Native.Control(file, Native.GetSeals, 0)
            : Native.SealShrink;
        bool mayFault = seals < 0 || (seals & Native.SealShrink) == 0 || HasHugePages(file);
        if (mayFault && mustBeSealed)
        {
            throw new IOException(
                "memory to share cannot be sealed, or has huge pages, so its owner could remove pages and end this process: "
                + "share a memfd that can be sealed (QEMU: memory-backend-memfd), or have the server accept such memory "
                + "(--vhost-user-sealed false)");
        }

        _ = Native.Stat(file, "", emptyPath, basicStats, facts);
        long size = MemoryMarshal.Read<long>(facts[40..]);
        if (offset > size || length > size - offset)
        {
            throw new IOException($"memory to share ends at {size}, before {offset} + {length}");
        }

        uint block = MemoryMarshal.Read<uint>(facts[4..]);
        long page = uint.IsPow2(block) ? Math.Max(block, Environment.SystemPageSize) : Environment.SystemPageSize;
        long skip = offset & (page - 1), whole = (skip + length + page - 1) & -page;
        if (!MappingBudget.Process.TryTake(whole))
        {
            throw new MappingLimitException($"{length} bytes of memory to share are not mapped, since this process maps too much already");
        }

        int protection = Native.ProtectRead | (writable ? Native.ProtectWrite : 0);
        nint start = Native.Map(0, (nuint)whole, protection, Native.MapShared, file, offset - skip);
        if (start != -1)
        {
            return new SharedMemory(start, (nuint)whole, (int)skip, length, mayFault);
        }

        int errno = Marshal.GetLastPInvokeError();
        MappingBudget.Process.Return(whole);
        throw new IOException($"{length} bytes of memory to share cannot be mapped: {Errno.Describe(errno)}");
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        bool isUnmapped = Native.Unmap(handle, _mapped) == 0;
        MappingBudget.Process.Return((long)_mapped);
        return isUnmapped;
    }

    // struct statfs begins with the type of the file system
    private static unsafe bool HasHugePages(SafeFileHandle file)
    {
        const long hugePages = 0x958458F6;
        byte* facts = stackalloc byte[256];
        return Native.StatFileSystem(file, facts) == 0 && *(long*)facts == hugePages;
    }
}
