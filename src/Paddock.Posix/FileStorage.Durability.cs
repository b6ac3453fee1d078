using System.Runtime.InteropServices;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Flushes, and space that is taken ahead of writes.</summary>
public sealed partial class FileStorage
{
    private readonly FlushFailure _flushFailure;
    private volatile bool _noReserve;

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
            Sync();
        }
        catch (Exception e) when (IsFileFailure(e))
        {
            throw _flushFailure.Record(e as BlockException ?? Errno.Translate(e, $"flush of '{Name}' failed"));
        }

        // a flush that ran beside the one that failed proves nothing either: the kernel tells of an error once
        _flushFailure.ThrowIfFailed();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _flushFailure.ThrowIfFailed();

    /// <inheritdoc/>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        if (_isBlockDevice || length == 0)
        {
            return true;
        }

        if (!OperatingSystem.IsLinux() || _noReserve)
        {
            return false;
        }

        if (_direct)
        {
            // a write past the end cuts the file back to its length: nobody may grow it meanwhile
            await AloneAsync(offset, () =>
            {
                // writes go out as whole blocks, however small those of the file system are
                long start = offset & -DirectBlock;
                Take(start, RoundUp(offset + length) - start, grows: false);
                Take(offset, length, grows);
            });
        }
        else
        {
            Take(offset, length, grows);
        }

        return !_noReserve;
    }

    private void Take(long offset, long length, bool grows)
    {
        if (!OperatingSystem.IsLinux() || !Allocate(grows ? 0 : Native.FallocKeepSize, offset, length))
        {
            _noReserve = true;
        }
        else if (grows)
        {
            Grew(offset + length);
        }
    }

    private void Sync()
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(_file);
            return;
        }

        while (Native.SyncData(_file) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Native.Interrupted)
            {
                throw Errno.Failure(errno, $"flush of '{Name}' failed");
            }
        }
    }
}
