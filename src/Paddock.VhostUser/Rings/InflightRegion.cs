namespace Paddock.VhostUser.Rings;

/// <summary>
/// One queue's part of the memory in which requests in flight are recorded (vhost-user, "Inflight I/O tracking"): it outlives this
/// process, so that the next one can take them again.
/// </summary>
/// <param name="Start">Where it stands in this process, aligned to 8; mapped for as long as the ring is used.</param>
/// <param name="Length">Its bytes, at least <see cref="BytesFor"/>.</param>
/// <param name="Notes">Where its <see cref="AppendNotes"/> stand, aligned to 8, mapped as long; 0: there are none.</param>
internal readonly record struct InflightRegion(nint Start, long Length, nint Notes = 0)
{
    // parts of different queues share no cache line
    private const int Alignment = 64;

    /// <summary>Bytes for a queue of so many descriptors; parts of queues follow one another at this distance.</summary>
    public static int BytesFor(int size, bool packed)
        => ((packed ? PackedInflight.BytesFor(size) : SplitInflight.BytesFor(size)) + Alignment - 1) & -Alignment;
}
