namespace Paddock.VhostUser.Rings;

/// <summary>What a driver may ask of a ring.</summary>
internal static class RingLimits
{
    /// <summary>The largest ring, in descriptors (virtio 1.2, 2.7 and 2.8.10.1).</summary>
    public const int LargestRing = 32768;

    /// <summary>
    /// The most descriptors of a chain that has an indirect table. Linux fills tables that are longer than a small ring is;
    /// QEMU takes 1024 at most.
    /// </summary>
    public const int LongestTable = 1024;
}
