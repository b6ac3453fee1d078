using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix;

/// <summary>An open file or block device: its descriptor, its length, and positional reads and writes on it.</summary>
internal sealed class OpenedFile : IDisposable
{
    private readonly bool _tracksLength;
    private long _length;

    /// <param name="handle">Owned from now on.</param>
    /// <param name="options">How it was opened.</param>
    /// <param name="isBlockDevice">Whether it is a block device.</param>
    /// <param name="isCharacterDevice">Whether it is a character device.</param>
    public OpenedFile(SafeFileHandle handle, FileOpenOptions options, bool isBlockDevice, bool isCharacterDevice = false)
    {
        Handle = handle;
        Name = options.Name ?? options.Path;
        IsReadOnly = options.ReadOnly;
        IsBlockDevice = isBlockDevice;
        IsDevice = isBlockDevice || isCharacterDevice;

        // a reader that lets others write must see the file grow
        _tracksLength = !(options.ReadOnly && options.Lock is ImageLock.None or ImageLock.ForceShare);
        _length = QueryLength();
    }

    /// <summary>Its descriptor, for native calls.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Name for messages.</summary>
    public string Name { get; }

    /// <summary>Opened for reading only.</summary>
    public bool IsReadOnly { get; }

    /// <summary>A device cannot grow, and has holes of whole logical blocks only.</summary>
    public bool IsBlockDevice { get; }

    /// <summary>Whether it is a block device or a character device.</summary>
    public bool IsDevice { get; }

    /// <summary>Size in bytes.</summary>
    public long Length => _tracksLength ? Volatile.Read(ref _length) : QueryLength();

    /// <summary>Space that the file takes on its file system; -1 where that is not known.</summary>
    public long AllocatedBytes => OperatingSystem.IsLinux() ? FileIdentity.Stat(Handle, Name).Blocks * 512 : -1;

    /// <summary>Exceptions of the runtime's file calls for errors of the operating system.</summary>
    public static bool IsFileFailure(Exception e)
        => e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException;

    /// <summary>Fills a buffer; bytes past the end are zeroes.</summary>
    public void Read(long offset, Span<byte> buffer)
    {
        try
        {
            while (buffer.Length > 0)
            {
                int count = RandomAccess.Read(Handle, buffer, offset);
                if (count == 0)
                {
                    buffer.Clear();
                    break;
                }

                buffer = buffer[count..];
                offset += count;
            }
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"read of '{Name}' failed");
        }
    }

    /// <summary>Writes, growing the file where needed.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        WriteKeepingLength(offset, data);
        Grew(offset + data.Length);
    }

    /// <summary>Writes without noting a new length; a caller that pads its data to whole blocks notes the right one.</summary>
    public void WriteKeepingLength(long offset, ReadOnlySpan<byte> data)
    {
        try
        {
            RandomAccess.Write(Handle, data, offset);
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw Errno.Translate(e, $"write to '{Name}' failed");
        }
    }

    /// <summary>The file reaches at least to this offset.</summary>
    public void Grew(long end)
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

    /// <summary>The file has been cut or grown to this length.</summary>
    public void Resized(long length) => Volatile.Write(ref _length, length);

    /// <summary>Makes written data durable (fdatasync).</summary>
    public void Sync()
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(Handle);
            return;
        }

        while (Native.SyncData(Handle) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Native.Interrupted)
            {
                throw Errno.Failure(errno, $"flush of '{Name}' failed");
            }
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => Handle.Dispose();

    private long QueryLength()
        => IsBlockDevice && OperatingSystem.IsLinux() ? Native.Seek(Handle, 0, Native.SeekEnd) : RandomAccess.GetLength(Handle);
}
