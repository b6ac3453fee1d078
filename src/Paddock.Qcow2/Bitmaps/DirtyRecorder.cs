using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>
/// Records changes of the disk in the bitmaps that are enabled. A change is recorded when it has ended, whether it succeeded or not: a
/// bitmap that is enabled, or cleared, before then has its bit.
/// </summary>
internal sealed class DirtyRecorder
{
    private DirtyBits[] _enabled = [];

    /// <summary>Records a change; without bitmaps, nothing but a look at the list.</summary>
    public void Record(GuestOffset offset, long length)
    {
        var enabled = Volatile.Read(ref _enabled);
        if (enabled.Length != 0)
        {
            Record(enabled, offset.Value, length);
        }
    }

    /// <summary>Sets which bitmaps record from now on.</summary>
    public void Use(IEnumerable<DirtyBits> bitmaps) => Volatile.Write(ref _enabled, [.. bitmaps]);

    private static void Record(DirtyBits[] enabled, long offset, long length)
    {
        foreach (var bits in enabled)
        {
            bits.Set(offset, length);
        }
    }
}
