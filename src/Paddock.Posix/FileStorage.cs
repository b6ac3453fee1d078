using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// A file or block device as storage. Buffered requests complete synchronously (the page cache answers) and allocate nothing.
/// Holes, space accounting and locks need Linux; elsewhere zeroes are written and nothing is locked.
/// </summary>
public sealed partial class FileStorage : IStorage, IDisposable
{
    private const int ZeroChunk = 1 << 20;
    private const ushort TypeMask = 0xF000, TypeFifo = 0x1000, TypeDirectory = 0x4000, TypeBlock = 0x6000, TypeRegular = 0x8000, TypeSocket = 0xC000;

    private readonly SafeFileHandle _file;
    private readonly bool _isBlockDevice;
    private readonly bool _tracksLength;
    private long _length;
    private volatile bool _noPunch, _noZeroRange, _noSeekHole;

    private FileStorage(SafeFileHandle file, FileOpenOptions options, bool isBlockDevice)
    {
        _file = file;
        Name = options.Name ?? options.Path;
        _flushFailure = new FlushFailure(Name);
        IsReadOnly = options.ReadOnly;
        _isBlockDevice = isBlockDevice;
        _spaceUnit = Math.Max(options.SpaceUnit, isBlockDevice ? LogicalBlockSize() : 1);
        _direct = options.DirectIo;

        // a reader that lets others write must see the file grow
        _tracksLength = !(options.ReadOnly && options.Lock is ImageLock.None or ImageLock.ForceShare);
        _length = QueryLength();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public long Length => _tracksLength ? Volatile.Read(ref _length) : QueryLength();

    /// <inheritdoc/>
    public int PreferredAlignment => _direct ? DirectBlock : 1;

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public long AllocatedBytes => OperatingSystem.IsLinux() ? Stat(_file, Name).Blocks * 512 : -1;

    /// <summary>Opens a file. Errors: as the operating system says, with <see cref="BlockException.Errno"/> set.</summary>
    public static FileStorage Open(FileOpenOptions options)
    {
        string what = $"Could not open '{EscapedText.Escape(options.Path)}'";
        if (!OperatingSystem.IsLinux())
        {
            return OpenPortable(options, what);
        }

        // a FIFO would wait for its other end; regular files and block devices do not heed this
        int flags = Native.OpenCloseOnExec | Native.OpenNonBlocking | (options.ReadOnly ? 0 : Native.OpenReadWrite)
            | (options.Create ? Native.OpenCreate : 0) | (options.DirectIo ? Native.OpenDirect : 0);
        byte[] path = ByteText.ToPath(options.Path);
        return Finish(options.Admit is null ? OpenPath(path, flags, what) : OpenAdmitted(path, flags, options.Admit, what), options, what);
    }

    /// <summary>What the file is.</summary>
    public FileFacts Facts => OperatingSystem.IsLinux() ? FactsOf(_file, Name) : PortableFacts(Name);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_direct)
        {
            return ReadDirectAsync(offset, buffer);
        }

        var rest = buffer.Span;
        try
        {
            while (rest.Length > 0)
            {
                int count = RandomAccess.Read(_file, rest, offset);
                if (count == 0)
                {
                    rest.Clear();
                    break;
                }

                rest = rest[count..];
                offset += count;
            }
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"read of '{Name}' failed");
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        if (_direct)
        {
            return WriteDirectAsync(offset, data);
        }

        WriteSpan(offset, data.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private static FileStorage OpenPortable(FileOpenOptions options, string what)
    {
        if (options.DirectIo)
        {
            throw new BlockException(BlockError.NotSupported, $"{what}: direct I/O needs Linux") { Errno = 95 };
        }

        try
        {
            options.Admit?.Invoke(PortableFacts(options.Path));
            var file = File.OpenHandle(
                options.Path,
                options.Create ? FileMode.OpenOrCreate : FileMode.Open,
                options.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite,
                FileShare.ReadWrite | FileShare.Delete);
            if (options.Truncate)
            {
                RandomAccess.SetLength(file, 0);
            }

            return new FileStorage(file, options, isBlockDevice: false);
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, what);
        }
    }

    [SupportedOSPlatform("linux")]
    private static SafeFileHandle OpenPath(ReadOnlySpan<byte> path, int flags, string what)
    {
        int descriptor;
        do
        {
            descriptor = Native.Open(path, flags, 0x1A4);
        }
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw Errno.Failure(Marshal.GetLastPInvokeError(), what);
    }

    // finding a file has no effect on it, while opening a device may; what was found is what is opened then, whatever its name leads to by now
    [SupportedOSPlatform("linux")]
    private static SafeFileHandle OpenAdmitted(byte[] path, int flags, Action<FileFacts> admit, string what)
    {
        using var found = OpenPath(path, Native.OpenCloseOnExec | Native.OpenPathOnly, what);
        admit(FactsOf(found, what));
        return OpenPath(ByteText.ToPath($"/proc/self/fd/{found.DangerousGetHandle()}"), flags, what);
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

    private static FileFacts PortableFacts(string path)
    {
        string real = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        return new FileFacts(real, real, File.Exists(real));
    }

    [SupportedOSPlatform("linux")]
    private static FileStorage Finish(SafeFileHandle file, FileOpenOptions options, string what)
    {
        try
        {
            int type = Stat(file, options.Path).Mode & TypeMask;
            if (type == TypeDirectory)
            {
                throw Errno.Failure(21, what);
            }

            if (type is TypeFifo or TypeSocket)
            {
                throw new WrongFileTypeException(options.Path);
            }

            OfdLocks.Take(file, options.Lock, options.Path);
            if (options.Truncate && type != TypeBlock)
            {
                RandomAccess.SetLength(file, 0);
            }

            return new FileStorage(file, options, type == TypeBlock);
        }
        catch (Exception e)
        {
            file.Dispose();
            if (e is not BlockException && IsFileFailure(e))
            {
                throw Errno.Translate(e, what);
            }

            throw;
        }
    }

    [SupportedOSPlatform("linux")]
    private static FileStatus Stat(SafeFileHandle file, string name)
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

    private static bool IsFileFailure(Exception e)
        => e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException;

    private long QueryLength()
        => _isBlockDevice && OperatingSystem.IsLinux() ? Native.Seek(_file, 0, Native.SeekEnd) : RandomAccess.GetLength(_file);

    private void WriteSpan(long offset, ReadOnlySpan<byte> data)
    {
        if (_direct)
        {
            WriteDirect(offset, data);
            return;
        }

        try
        {
            RandomAccess.Write(_file, data, offset);
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"write to '{Name}' failed");
        }

        Grew(offset + data.Length);
    }

    private void Grew(long end)
    {
        long seen = Volatile.Read(ref _length);
        while (end > seen)
        {
            long before = Interlocked.CompareExchange(ref _length, end, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }

    /// <summary>What the system says of a file.</summary>
    /// <param name="Mode">Type and permissions.</param>
    /// <param name="Inode">Its number on its file system.</param>
    /// <param name="Blocks">512-byte units that it takes.</param>
    /// <param name="Target">The device that it stands for.</param>
    /// <param name="Device">The device that it lies on.</param>
    private readonly record struct FileStatus(ushort Mode, ulong Inode, long Blocks, ulong Target, ulong Device);
}
