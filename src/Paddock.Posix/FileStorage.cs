using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// A file or block device as storage. Buffered requests complete synchronously (the page cache answers) and allocate nothing.
/// Holes, space accounting and locks need Linux; elsewhere zeroes are written and nothing is locked.
/// </summary>
public sealed class FileStorage : IStorage, IDisposable
{
    private readonly OpenedFile _file;
    private readonly DirectFile? _direct;
    private readonly FileSpace _space;
    private readonly FileHoles _holes;
    private readonly FlushFailure _flushFailure;

    private FileStorage(OpenedFile file, FileOpenOptions options)
    {
        _file = file;
        _direct = options.DirectIo ? new DirectFile(file) : null;
        _space = new FileSpace(file, _direct, options.SpaceUnit);
        _holes = new FileHoles(file);
        _flushFailure = new FlushFailure(file.Name);
    }

    /// <inheritdoc/>
    public string Name => _file.Name;

    /// <inheritdoc/>
    public bool IsReadOnly => _file.IsReadOnly;

    /// <inheritdoc/>
    public long Length => _file.Length;

    /// <summary>Whether it is a block device: it keeps its length, and holds what was written to it before.</summary>
    public bool IsBlockDevice => _file.IsBlockDevice;

    /// <summary>Whether it is a block device or a character device.</summary>
    internal bool IsDevice => _file.IsDevice;

    /// <inheritdoc/>
    public int PreferredAlignment => _direct is null ? 1 : DirectFile.BlockSize;

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public long AllocatedBytes => _file.AllocatedBytes;

    /// <summary>Turns copy-on-write off, where the file system has it. The file must be empty.</summary>
    internal void TurnOffCopyOnWrite() => FileHints.TurnOffCopyOnWrite(_file.Handle);

    /// <summary>Sets the size in which the file system should allocate space, in bytes.</summary>
    /// <returns>Errno; 0: it is set.</returns>
    internal int SetExtentSize(uint bytes) => FileHints.SetExtentSize(_file.Handle, bytes);

    /// <summary>Name without symbolic links, identity and kind of the file.</summary>
    public FileFacts Facts => FileIdentity.Of(_file.Handle, Name);

    /// <summary>Opens a file. Errors are those of the operating system, with <see cref="BlockException.Errno"/> set.</summary>
    public static FileStorage Open(FileOpenOptions options) => new(FileOpener.Open(options), options);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_direct is not null)
        {
            return _direct.ReadAsync(offset, buffer);
        }

        _file.Read(offset, buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        if (_direct is not null)
        {
            return _direct.WriteAsync(offset, data);
        }

        _file.Write(offset, data.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        if (length == 0)
        {
            return ValueTask.CompletedTask;
        }

        if (_direct is not null)
        {
            return ZeroAloneAsync(_direct, offset, length, flags, cancellationToken);
        }

        _space.Zero(offset, length, flags, cancellationToken);
        return (flags & ZeroFlags.Fua) != 0 ? FlushAsync(cancellationToken) : ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        if (_space.TryFindDiscardable(ref offset, ref length))
        {
            if (_direct is not null)
            {
                return DiscardAloneAsync(_direct, offset, length);
            }

            _space.Discard(offset, length);
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Copies bytes from another file inside the file system, which may share their blocks.</summary>
    /// <param name="from">The other file.</param>
    /// <param name="at">Offset there, in bytes.</param>
    /// <param name="into">Offset here, in bytes.</param>
    /// <param name="length">Bytes to copy.</param>
    /// <returns>False if the file systems cannot do it; part of the range may have been copied.</returns>
    internal bool TryCopyRange(FileStorage from, long at, long into, long length)
    {
        while (OperatingSystem.IsLinux() && length > 0)
        {
            nint count = Native.CopyFileRange(from._file.Handle, ref at, _file.Handle, ref into, (nuint)length, 0);
            if (count <= 0)
            {
                // at the end of a file that is shorter than its disk, too: the copy by reads and writes reports what really fails
                return false;
            }

            length -= count;
        }

        return length == 0;
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        if (IsReadOnly)
        {
            return ValueTask.CompletedTask;
        }

        _flushFailure.ThrowIfFailed();
        try
        {
            _file.Sync();
        }
        catch (Exception e) when (OpenedFile.IsFileFailure(e))
        {
            throw _flushFailure.Record(e as BlockException ?? Errno.Translate(e, $"flush of '{Name}' failed"));
        }

        // a flush that ran beside the one that failed proves nothing either: the kernel reports an error once
        _flushFailure.ThrowIfFailed();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _flushFailure.ThrowIfFailed();

    /// <inheritdoc/>
    public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        if (IsBlockDevice || length == 0)
        {
            return new(true);
        }

        if (!_space.CanReserve)
        {
            return new(false);
        }

        if (_direct is not null)
        {
            return ReserveAloneAsync(_direct, offset, length, grows);
        }

        _space.Reserve(offset, length, grows);
        return new(_space.CanReserve);
    }

    /// <inheritdoc/>
    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (_direct is not null)
        {
            return SetLengthAloneAsync(_direct, length, preallocation, cancellationToken);
        }

        _space.SetLength(length, preallocation, cancellationToken);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => new(_holes.Find(offset, length));

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private async ValueTask ZeroAloneAsync(
        DirectFile direct, long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await direct.RunAloneAsync(offset, () => _space.Zero(offset, length, flags, cancellationToken));
        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    private async ValueTask<bool> ReserveAloneAsync(DirectFile direct, long offset, long length, bool grows)
    {
        // a write past the end cuts the file back to its length: nobody may grow it meanwhile
        await direct.RunAloneAsync(offset, () => _space.Reserve(offset, length, grows));
        return _space.CanReserve;
    }

    private ValueTask DiscardAloneAsync(DirectFile direct, long offset, long length)
        => direct.RunAloneAsync(offset, () => _space.Discard(offset, length));

    private ValueTask SetLengthAloneAsync(
        DirectFile direct, long length, Preallocation preallocation, CancellationToken cancellationToken)
        => direct.RunAloneAsync(0, () => _space.SetLength(length, preallocation, cancellationToken));
}
