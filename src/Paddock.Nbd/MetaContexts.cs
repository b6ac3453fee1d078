namespace Paddock.Nbd;

/// <summary>The contexts in which block status can be asked for.</summary>
internal static class MetaContexts
{
    /// <summary>Holes and zeroes.</summary>
    public const string Allocation = "base:allocation";

    /// <summary>How many layers down the bytes are: 0 where nowhere, 1 for the top.</summary>
    public const string Depth = "qemu:allocation-depth";

    /// <summary>The number of <see cref="Allocation"/> on the wire.</summary>
    public const uint AllocationId = 0;

    /// <summary>The number of <see cref="Depth"/> on the wire.</summary>
    public const uint DepthId = 1;

    public static uint IdOf(string name) => name == Allocation ? AllocationId : DepthId;

    /// <summary>Whether a query of a list names a context: in full, or by what is before its colon.</summary>
    public static bool Matches(string query, string context)
        => query == context || (query.EndsWith(':') && context.StartsWith(query, StringComparison.Ordinal));
}
