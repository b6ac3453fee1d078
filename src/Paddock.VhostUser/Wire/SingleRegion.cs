namespace Paddock.VhostUser.Wire;

/// <summary>
/// "Single memory region description": one region to add or remove.
/// <code>
/// offset size
///      0    8  0
///      8   32  the region
/// </code>
/// </summary>
internal static class SingleRegion
{
    private const int RegionAt = sizeof(ulong);

    /// <summary>Size in bytes.</summary>
    public const int Size = RegionAt + RegionDescription.Size;

    public static RegionDescription Parse(ReadOnlySpan<byte> from)
    {
        VhostUserException.ExpectLength(nameof(SingleRegion), Size, from.Length);
        return RegionDescription.Parse(from[RegionAt..]);
    }

    public static void Write(Span<byte> to, in RegionDescription region)
    {
        to[..RegionAt].Clear();
        region.WriteTo(to[RegionAt..]);
    }
}
