using Paddock.Block;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>The bits of a bitmap as others read them.</summary>
internal sealed class BitmapView(string name, DirtyBits bits) : IDirtyBitmap
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public long Granularity => bits.Granularity;

    /// <inheritdoc/>
    public long Length => bits.Length;

    /// <inheritdoc/>
    public DirtyRun Find(long offset, long length)
    {
        if (offset >= bits.Length)
        {
            // the disk has grown, and its bitmaps are about to
            return new DirtyRun(length, true);
        }

        long end = bits.EndOfRun(offset, offset + length, out bool isSet);
        return new DirtyRun(end - offset, isSet);
    }
}
