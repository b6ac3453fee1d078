namespace Paddock.VhostUser.Rings;

/// <summary>Limits of a ring.</summary>
internal static class RingLimits
{
    /// <summary>The largest ring, in descriptors (virtio 1.2, 2.7 and 2.8.10.1).</summary>
    public const int LargestRing = 32768;

    /// <summary>
    /// Maximum number of descriptors of a chain with an indirect table. Linux fills tables that are longer than a small ring;
    /// QEMU accepts at most 1024.
    /// </summary>
    public const int LongestTable = 1024;
}
