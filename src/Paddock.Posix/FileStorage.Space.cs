using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>The file's space: zeroes, holes, size.</summary>
public sealed partial class FileStorage
{
    private static readonly byte[] Zeroes = new byte[ZeroChunk];

    /// <summary>Holes and zeroes begin and end at multiples of it: 1 in a file, a logical block of a device.</summary>
    private readonly int _spaceUnit;

    /// <inheritdoc/>
    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        if (length == 0)
        {
            return ValueTask.CompletedTask;
        }

        if (_direct)
        {
            return ZeroDirectAsync(offset, length, flags, cancellationToken);
        }

        Zero(offset, length, flags, cancellationToken);
        return (flags & ZeroFlags.Fua) != 0 ? FlushAsync(cancellationToken) : ValueTask.CompletedTask;
    }

    private async ValueTask ZeroDirectAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await AloneAsync(offset, () => Zero(offset, length, flags, cancellationToken));
        if ((flags & ZeroFlags.Fua) != 0)
        {
            await FlushAsync(cancellationToken);
        }
    }

    private void Zero(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a device takes whole logical blocks; what is left at either end is written
        long first = SpaceUnitsFrom(offset), end = offset + length, last = Math.Max(first, end / _spaceUnit * _spaceUnit);
        bool mayWrite = (flags & ZeroFlags.NoFallback) == 0, exact = offset == first && last == end;
        bool done = (exact || mayWrite) && first < last && OperatingSystem.IsLinux()
            && ZeroByAllocating(first, last - first, (flags & ZeroFlags.MayUnmap) != 0);
        if (!mayWrite)
        {
            _ = done ? true : throw Errno.Failure(95, $"zeroing '{Name}' without writing failed");
        }
        else
        {
            WriteZeroBuffers(offset, (done ? first : end) - offset, cancellationToken);
            WriteZeroBuffers(last, (done ? end : last) - last, cancellationToken);
        }
    }

    private long SpaceUnitsFrom(long offset) => (offset + _spaceUnit - 1) / _spaceUnit * _spaceUnit;

    private int LogicalBlockSize()
    {
        int size = 0;
        return OperatingSystem.IsLinux() && Native.DeviceControl(_file, Native.GetLogicalBlockSize, ref size) == 0 && size > 0 ? size : 512;
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        // parts of a device's blocks keep their contents
        long end = (offset + length) / _spaceUnit * _spaceUnit;
        offset = SpaceUnitsFrom(offset);
        length = end - offset;
        if (OperatingSystem.IsLinux() && length > 0 && offset < Length)
        {
            if (_direct)
            {
                return PunchDirectAsync(offset, length);
            }

            Punch(offset, length);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (_direct)
        {
            return AloneAsync(0, () => SetLength(length, preallocation, cancellationToken));
        }

        SetLength(length, preallocation, cancellationToken);
        return ValueTask.CompletedTask;
    }

    private void SetLength(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        long before = Length;
        if (_isBlockDevice)
        {
            _ = length <= before ? true : throw Errno.Failure(22, $"cannot grow the device '{Name}'");
            return;
        }

        try
        {
            if (preallocation == Preallocation.Full && length > before)
            {
                WriteZeroBuffers(before, length - before, cancellationToken);
            }
            else if (preallocation == Preallocation.Falloc && length > before)
            {
                // this call reserves the space or fails with ENOSPC; elsewhere zeroes are written
                Reserve(before, length - before, cancellationToken);
            }
            else
            {
                RandomAccess.SetLength(_file, length);
            }
        }
        catch (Exception e) when (e is not BlockException && IsFileFailure(e))
        {
            throw Errno.Translate(e, $"resizing '{Name}' failed");
        }

        Volatile.Write(ref _length, length);
    }

    /// <inheritdoc/>
    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        long rest = Math.Min(length, Length - offset);
        if (rest <= 0)
        {
            return new(new BlockStatus(Math.Max(length, 0), BlockStatusFlags.Zero, offset));
        }

        if (!OperatingSystem.IsLinux() || _isBlockDevice || _noSeekHole)
        {
            return new(new BlockStatus(rest, BlockStatusFlags.Data, offset));
        }

        long data = Native.Seek(_file, offset, Native.SeekData);
        if (data < 0)
        {
            if (Marshal.GetLastPInvokeError() == Native.NoSuchAddress)
            {
                return new(new BlockStatus(rest, BlockStatusFlags.Zero, offset));
            }

            _noSeekHole = true;
            return new(new BlockStatus(rest, BlockStatusFlags.Data, offset));
        }

        if (data > offset)
        {
            return new(new BlockStatus(Math.Min(rest, data - offset), BlockStatusFlags.Zero, offset));
        }

        long hole = Native.Seek(_file, offset, Native.SeekHole);
        return new(new BlockStatus(hole > offset ? Math.Min(rest, hole - offset) : rest, BlockStatusFlags.Data, offset));
    }

    [SupportedOSPlatform("linux")]
    private bool ZeroByAllocating(long offset, long length, bool mayUnmap)
    {
        long end = offset + length;
        if (mayUnmap && Punch(offset, length))
        {
            if (end > Length)
            {
                RandomAccess.SetLength(_file, end);
                Grew(end);
            }

            return true;
        }

        if (_noZeroRange)
        {
            return false;
        }

        if (Allocate(Native.FallocZeroRange, offset, length))
        {
            Grew(end);
            return true;
        }

        _noZeroRange = true;
        return false;
    }

    [SupportedOSPlatform("linux")]
    private ValueTask PunchDirectAsync(long offset, long length) => AloneAsync(offset, () => Punch(offset, length));

    [SupportedOSPlatform("linux")]
    private bool Punch(long offset, long length)
    {
        if (_noPunch)
        {
            return false;
        }

        bool done = Allocate(Native.FallocPunchHole | Native.FallocKeepSize, offset, length);
        _noPunch = !done;
        return done;
    }

    /// <returns>False where the file system has no such operation.</returns>
    [SupportedOSPlatform("linux")]
    private bool Allocate(int mode, long offset, long length)
    {
        while (Native.Allocate(_file, mode, offset, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Native.NotSupported or Native.NoSystemCall)
            {
                return false;
            }

            if (errno != Native.Interrupted)
            {
                throw Errno.Failure(errno, $"allocating space in '{Name}' failed");
            }
        }

        return true;
    }

    private void Reserve(long offset, long length, CancellationToken cancellationToken)
    {
        if (!(OperatingSystem.IsLinux() && Allocate(0, offset, length)))
        {
            WriteZeroBuffers(offset, length, cancellationToken);
        }
    }

    private void WriteZeroBuffers(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = (int)Math.Min(end - offset, ZeroChunk);
            WriteSpan(offset, Zeroes.AsSpan(0, count));
            offset += count;
        }
    }
}
