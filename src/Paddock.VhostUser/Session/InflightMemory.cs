using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>The memory in which requests in flight are recorded: the front end keeps it when this process ends, and gives it to the next.</summary>
internal sealed class InflightMemory : IDisposable
{
    private readonly SharedMemory _shared;
    private readonly int _rings;
    private readonly int _ringSize;

    private InflightMemory(SharedMemory shared, in InflightDescription description)
    {
        _shared = shared;
        (_rings, _ringSize) = (description.Rings, description.RingSize);
    }

    /// <summary>Makes a new one.</summary>
    /// <param name="wanted">How many rings of what size; the rest is ours to say.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="description">All of it.</param>
    /// <param name="file">The file, to be given to the front end.</param>
    /// <exception cref="RequestRefusedException">No ring, too many, or too large.</exception>
    /// <exception cref="IOException">There is no memory for it.</exception>
    public static InflightMemory Create(in InflightDescription wanted, bool packed, out InflightDescription description, out SafeFileHandle file)
    {
        CheckCounts(wanted);
        description = wanted with { Length = (ulong)BytesFor(wanted, packed), FileOffset = 0 };
        file = SharedMemory.Create("paddock-inflight", (long)description.Length);
        try
        {
            return new InflightMemory(SharedMemory.Map(file, 0, (long)description.Length), description);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Takes back what a front end kept.</summary>
    /// <param name="given">What it says of it.</param>
    /// <param name="packed">The rings' layout.</param>
    /// <param name="file">The file; may be closed afterwards.</param>
    /// <exception cref="RequestRefusedException">It has no room for its rings.</exception>
    /// <exception cref="IOException">It cannot be mapped.</exception>
    public static InflightMemory Map(in InflightDescription given, bool packed, SafeFileHandle file)
    {
        CheckCounts(given);
        long needed = BytesFor(given, packed);
        return given.Length < (ulong)needed || given.FileOffset > (ulong)(long.MaxValue - needed)
            ? throw new RequestRefusedException($"a record of {given.Length} bytes has no room for {given.Rings} rings of {given.RingSize}")
            : new InflightMemory(SharedMemory.Map(file, (long)given.FileOffset, needed), given);
    }

    /// <summary>A ring's part.</summary>
    /// <exception cref="RingException">It has no room for that ring.</exception>
    public InflightRegion Part(int ring, int size, bool packed)
    {
        long stride = InflightRegion.BytesFor(_ringSize, packed);
        return ring < _rings && size <= _ringSize && (ring + 1) * stride <= _shared.Length
            ? new InflightRegion((nint)(_shared.Start + (ring * stride)), stride)
            : throw new RingException($"the record of {_rings} rings of {_ringSize} in flight has no room for ring {ring} of {size}");
    }

    /// <inheritdoc/>
    public void Dispose() => _shared.Dispose();

    private static long BytesFor(in InflightDescription description, bool packed)
        => (long)description.Rings * InflightRegion.BytesFor(description.RingSize, packed);

    private static void CheckCounts(in InflightDescription description)
    {
        if (description.Rings is 0 or > VhostUserLimits.MaxQueues || description.RingSize is 0 or > RingLimits.LargestRing)
        {
            throw new RequestRefusedException($"a record of {description.Rings} rings of {description.RingSize} in flight");
        }
    }
}
