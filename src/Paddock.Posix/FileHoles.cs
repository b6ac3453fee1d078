using System.Runtime.InteropServices;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Distinguishes data and holes of a file (SEEK_DATA, SEEK_HOLE).</summary>
internal sealed class FileHoles(OpenedFile file)
{
    private volatile bool _unsupported;

    /// <summary>The longest run from an offset on that is all data or all hole; all data where the file system cannot tell.</summary>
    public BlockStatus Find(long offset, long length)
    {
        long rest = Math.Min(length, file.Length - offset);
        if (rest <= 0)
        {
            return new BlockStatus(Math.Max(length, 0), BlockStatusFlags.Zero, offset);
        }

        if (!OperatingSystem.IsLinux() || file.IsBlockDevice || _unsupported)
        {
            return new BlockStatus(rest, BlockStatusFlags.Data, offset);
        }

        long data = Native.Seek(file.Handle, offset, Native.SeekData);
        if (data < 0)
        {
            if (Marshal.GetLastPInvokeError() == Native.NoSuchAddress)
            {
                return new BlockStatus(rest, BlockStatusFlags.Zero, offset);
            }

            _unsupported = true;
            return new BlockStatus(rest, BlockStatusFlags.Data, offset);
        }

        if (data > offset)
        {
            return new BlockStatus(Math.Min(rest, data - offset), BlockStatusFlags.Zero, offset);
        }

        long hole = Native.Seek(file.Handle, offset, Native.SeekHole);
        return new BlockStatus(hole > offset ? Math.Min(rest, hole - offset) : rest, BlockStatusFlags.Data, offset);
    }
}
