using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// Space of a file: zeroes, holes, reservations, length. Each call runs to its end; with direct I/O the caller keeps writes
/// away meanwhile (<see cref="DirectFile.RunAloneAsync"/>).
/// </summary>
internal sealed class FileSpace
{
    private const int ZeroChunk = 1 << 20;

    private static readonly byte[] Zeroes = new byte[ZeroChunk];

    private readonly OpenedFile _file;
    private readonly DirectFile? _direct;

    // holes and zeroes begin and end at multiples of it: 1 in a file, a logical block of a device
    private readonly int _unit;
    private volatile bool _noPunch, _noZeroRange, _noReserve;

    /// <param name="file">The file.</param>
    /// <param name="direct">Writes zeroes where direct I/O is used; null for buffered I/O.</param>
    /// <param name="unit">Smallest unit of holes, a power of two; a device has at least its logical blocks.</param>
    public FileSpace(OpenedFile file, DirectFile? direct, int unit)
    {
        _file = file;
        _direct = direct;
        _unit = Math.Max(unit, file.IsBlockDevice ? LogicalBlockSize() : 1);
    }

    /// <summary>Whether <see cref="Reserve"/> may still take space; a device has all of its space already.</summary>
    public bool CanReserve => OperatingSystem.IsLinux() && !_noReserve;

    /// <summary>Makes a range read as zeroes, by holes or allocation where the file system can, else by writing.</summary>
    public void Zero(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        // a device takes whole logical blocks; what is left at either end is written
        long first = RoundUp(offset), end = offset + length, last = Math.Max(first, end / _unit * _unit);
        bool mayWrite = (flags & ZeroFlags.NoFallback) == 0, exact = offset == first && last == end;
        bool done = (exact || mayWrite) && first < last && OperatingSystem.IsLinux()
            && ZeroByAllocating(first, last - first, (flags & ZeroFlags.MayUnmap) != 0);
        if (!mayWrite)
        {
            _ = done ? true : throw Errno.Failure(95, $"zeroing '{_file.Name}' without writing failed");
        }
        else
        {
            WriteZeroes(offset, (done ? first : end) - offset, cancellationToken);
            WriteZeroes(last, (done ? end : last) - last, cancellationToken);
        }
    }

    /// <summary>Finds the part of a range that can become a hole: whole units, before the end of the file.</summary>
    /// <returns>False if no part can.</returns>
    public bool TryFindDiscardable(ref long offset, ref long length)
    {
        // parts of a device's blocks keep their contents
        long end = (offset + length) / _unit * _unit;
        offset = RoundUp(offset);
        length = end - offset;
        return OperatingSystem.IsLinux() && length > 0 && offset < _file.Length;
    }

    /// <summary>Makes a range a hole, where the file system can.</summary>
    public void Discard(long offset, long length)
    {
        if (OperatingSystem.IsLinux())
        {
            Punch(offset, length);
        }
    }

    /// <summary>
    /// Takes space for later writes; what the range reads as stays. Sets <see cref="CanReserve"/> to false where it cannot.
    /// </summary>
    public void Reserve(long offset, long length, bool grows)
    {
        if (_direct is not null)
        {
            // direct writes go out as whole blocks, however small those of the file system are
            long start = offset & -DirectFile.BlockSize;
            ReserveExactly(start, DirectFile.RoundUp(offset + length) - start, grows: false);
        }

        ReserveExactly(offset, length, grows);
    }

    /// <summary>Cuts or grows the file.</summary>
    public void SetLength(long length, Preallocation preallocation, CancellationToken cancellationToken)
    {
        long before = _file.Length;
        if (_file.IsBlockDevice)
        {
            _ = length <= before ? true : throw Errno.Failure(22, $"cannot grow the device '{_file.Name}'");
            return;
        }

        try
        {
            if (preallocation == Preallocation.Full && length > before)
            {
                WriteZeroes(before, length - before, cancellationToken);
            }
            else if (preallocation == Preallocation.Falloc && length > before)
            {
                // fallocate reserves the space or fails with ENOSPC; elsewhere zeroes are written
                if (!(OperatingSystem.IsLinux() && Allocate(0, before, length - before)))
                {
                    WriteZeroes(before, length - before, cancellationToken);
                }
            }
            else
            {
                RandomAccess.SetLength(_file.Handle, length);
            }
        }
        catch (Exception e) when (e is not BlockException && OpenedFile.IsFileFailure(e))
        {
            throw Errno.Translate(e, $"resizing '{_file.Name}' failed");
        }

        _file.Resized(length);
    }

    private long RoundUp(long offset) => (offset + _unit - 1) / _unit * _unit;

    private int LogicalBlockSize()
    {
        int size = 0;
        return OperatingSystem.IsLinux() && Native.DeviceControl(_file.Handle, Native.GetLogicalBlockSize, ref size) == 0 && size > 0
            ? size
            : 512;
    }

    [SupportedOSPlatform("linux")]
    private bool ZeroByAllocating(long offset, long length, bool mayUnmap)
    {
        long end = offset + length;
        if (mayUnmap && Punch(offset, length))
        {
            if (end > _file.Length)
            {
                RandomAccess.SetLength(_file.Handle, end);
                _file.Grew(end);
            }

            return true;
        }

        if (_noZeroRange)
        {
            return false;
        }

        if (Allocate(Native.FallocZeroRange, offset, length))
        {
            _file.Grew(end);
            return true;
        }

        _noZeroRange = true;
        return false;
    }

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

    private void ReserveExactly(long offset, long length, bool grows)
    {
        if (!OperatingSystem.IsLinux() || !Allocate(grows ? 0 : Native.FallocKeepSize, offset, length))
        {
            _noReserve = true;
        }
        else if (grows)
        {
            _file.Grew(offset + length);
        }
    }

    /// <returns>False where the file system has no such operation.</returns>
    [SupportedOSPlatform("linux")]
    private bool Allocate(int mode, long offset, long length)
    {
        while (Native.Allocate(_file.Handle, mode, offset, length) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Native.NotSupported or Native.NoSystemCall)
            {
                return false;
            }

            if (errno != Native.Interrupted)
            {
                throw Errno.Failure(errno, $"allocating space in '{_file.Name}' failed");
            }
        }

        return true;
    }

    private void WriteZeroes(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var zeroes = Zeroes.AsSpan(0, (int)Math.Min(end - offset, ZeroChunk));
            if (_direct is null)
            {
                _file.Write(offset, zeroes);
            }
            else
            {
                _direct.Write(offset, zeroes);
            }

            offset += zeroes.Length;
        }
    }
}
