using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Paddock.Rbd.Native;

namespace Paddock.Rbd;

/// <summary>Runs of data and holes of a part of an image, as librbd knows them.</summary>
internal sealed unsafe class RbdExtents
{
    // ends an iteration early; librbd returns it as it is
    private const int Stop = -9000;

    private readonly List<(long Start, long End)> _data = [];
    private readonly int _limit;

    private RbdExtents(long start, long end, int limit) => (Start, End, _limit) = (start, end, limit);

    /// <summary>First byte that is known about.</summary>
    public long Start { get; }

    /// <summary>End of what is known.</summary>
    public long End { get; private set; }

    /// <summary>Asks the cluster, which takes a round trip or more.</summary>
    /// <param name="image">The image.</param>
    /// <param name="start">First byte, at the beginning of an object.</param>
    /// <param name="end">End.</param>
    /// <param name="wholeObjects">Whether the map of objects is to answer.</param>
    /// <param name="limit">Most runs of data; where there are more, less of the range is known then.</param>
    /// <param name="name">Name for messages.</param>
    public static RbdExtents Find(nint image, long start, long end, bool wholeObjects, int limit, string name)
    {
        var extents = new RbdExtents(start, end, limit);
        var handle = GCHandle.Alloc(extents);
        try
        {
            int result = LibRbd.IterateDiff(
                image, null, (ulong)start, (ulong)(end - start), includeParent: 1, wholeObjects ? (byte)1 : (byte)0, &OnFound,
                GCHandle.ToIntPtr(handle));
            if (result != Stop)
            {
                RbdErrors.Check(result, $"cannot list the data of '{name}'");
            }

            return extents;
        }
        finally
        {
            handle.Free();
        }
    }

    /// <summary>The run at an offset.</summary>
    public (long End, bool IsData) RunAt(long offset)
    {
        foreach (var (start, end) in _data)
        {
            if (offset < start)
            {
                return (Math.Min(start, End), false);
            }

            if (offset < end)
            {
                return (Math.Min(end, End), true);
            }
        }

        return (End, false);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnFound(ulong offset, nuint length, int exists, nint argument)
    {
        var extents = (RbdExtents)GCHandle.FromIntPtr(argument).Target!;
        return exists == 0 || extents.Add((long)offset, (long)offset + (long)length) ? 0 : Stop;
    }

    // runs come in order
    private bool Add(long start, long end)
    {
        if (_data.Count > 0 && _data[^1].End == start)
        {
            _data[^1] = (_data[^1].Start, end);
            return true;
        }

        if (_data.Count == _limit)
        {
            End = start;
            return false;
        }

        _data.Add((start, end));
        return true;
    }
}
