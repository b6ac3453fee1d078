namespace Paddock.Nbd;

/// <summary>Metadata contexts for block status.</summary>
internal static class MetaContexts
{
    /// <summary>Holes and zeroes.</summary>
    public const string Allocation = "base:allocation";

    /// <summary>Depth of the layer that holds the bytes: 1 for the top, 0 for none.</summary>
    public const string Depth = "qemu:allocation-depth";

    /// <summary>Wire number of <see cref="Allocation"/>.</summary>
    public const uint AllocationId = 0;

    /// <summary>Wire number of <see cref="Depth"/>.</summary>
    public const uint DepthId = 1;

    /// <summary>Prefix of the names of bitmap contexts; flag 1 marks changed ranges.</summary>
    public const string DirtyBitmap = "qemu:dirty-bitmap:";

    /// <summary>Wire number of the first bitmap's context.</summary>
    public const uint FirstBitmapId = 2;

    /// <summary>Whether a list query matches a context: its full name, or the prefix before the colon.</summary>
    public static bool Matches(string query, string context)
        => query == context || (query.EndsWith(':') && context.StartsWith(query, StringComparison.Ordinal));
}
