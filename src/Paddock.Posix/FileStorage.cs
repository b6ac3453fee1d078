using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// A file or block device as storage. Buffered requests complete synchronously (the page cache answers) and allocate nothing.
/// Holes, space accounting and locks need Linux; elsewhere zeroes are written and nothing is locked.
/// </summary>
public sealed partial class FileStorage : IStorage
{
    private const int ZeroChunk = 1 << 20;
    private const ushort TypeMask = 0xF000, TypeDirectory = 0x4000, TypeBlock = 0x6000;

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
    public long AllocatedBytes => OperatingSystem.IsLinux() ? Stat(_file, Name).Blocks * 512 : -1;

    /// <summary>Opens a file. Errors: as the operating system says, with <see cref="BlockException.Errno"/> set.</summary>
    public static FileStorage Open(FileOpenOptions options)
    {
        string what = $"Could not open '{options.Path}'";
        if (!OperatingSystem.IsLinux())
        {
            return OpenPortable(options, what);
        }

        int flags = Native.OpenCloseOnExec | (options.ReadOnly ? 0 : Native.OpenReadWrite)
            | (options.Create ? Native.OpenCreate : 0) | (options.DirectIo ? Native.OpenDirect : 0);
        int descriptor;
        do
        {
            descriptor = Native.Open(options.Path, flags, 0x1A4);
        }
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted);
        if (descriptor < 0)
        {
            throw Errno.Failure(Marshal.GetLastPInvokeError(), what);
        }

        return Finish(new SafeFileHandle(descriptor, ownsHandle: true), options, what);
    }

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
        _file.Dispose();
        return ValueTask.CompletedTask;
    }

    private static FileStorage OpenPortable(FileOpenOptions options, string what)
    {
        if (options.DirectIo)
        {
            throw new BlockException(BlockError.NotSupported, $"{what}: direct I/O needs Linux") { Errno = 95 };
        }

        try
        {
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
    private static FileStorage Finish(SafeFileHandle file, FileOpenOptions options, string what)
    {
        try
        {
            int type = Stat(file, options.Path).Mode & TypeMask;
            if (type == TypeDirectory)
            {
                throw Errno.Failure(21, what);
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
    private static (ushort Mode, long Blocks) Stat(SafeFileHandle file, string name)
    {
        // struct statx, the same on every architecture: mode at byte 28, blocks of 512 bytes at byte 48
        const int emptyPath = 0x1000, basicStats = 0x7FF;
        Span<byte> result = stackalloc byte[256];
        return Native.Stat(file, "", emptyPath, basicStats, result) == 0
            ? (MemoryMarshal.Read<ushort>(result[28..]), MemoryMarshal.Read<long>(result[48..]))
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
}
