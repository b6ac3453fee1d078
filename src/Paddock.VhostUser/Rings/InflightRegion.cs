namespace Paddock.VhostUser.Rings;

/// <summary>
/// One queue's part of the record of requests in flight (vhost-user, "Inflight I/O tracking"), which outlives this
/// process, so that the next one can replay them.
/// </summary>
/// <param name="Start">Address in this process, aligned to 8; mapped for as long as the ring is used.</param>
/// <param name="Length">Length in bytes, at least <see cref="BytesFor"/>.</param>
/// <param name="Notes">Address of its <see cref="AppendNotes"/>, aligned to 8, mapped for as long; 0: none.</param>
internal readonly record struct InflightRegion(nint Start, long Length, nint Notes = 0)
{
    // parts of different queues share no cache line
    private const int Alignment = 64;

    /// <summary>Size in bytes for a queue with the given number of descriptors; also the distance between the parts of queues.</summary>
    public static int BytesFor(int size, bool packed)
        => ((packed ? PackedInflight.BytesFor(size) : SplitInflight.BytesFor(size)) + Alignment - 1) & -Alignment;
}
