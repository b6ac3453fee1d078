namespace Paddock.Images;

/// <summary>Backing file names as they stand in an image.</summary>
internal static class BackingName
{
    private const string Json = "json:";

    /// <summary>The name to open: a relative one is relative to the folder of the overlay.</summary>
    /// <exception cref="ToolException">The overlay has no folder.</exception>
    public static string Resolve(string name, string overlay)
        => TryResolve(name, overlay) ?? throw new ToolException("Cannot generate a base directory for quorum nodes");

    /// <summary>The name to open; null if it is relative and the overlay, in several files, has no folder.</summary>
    public static string? TryResolve(string name, string overlay)
    {
        int folder = overlay.LastIndexOf('/');
        return name.StartsWith('/') || HasProtocol(name) ? name
            : overlay.StartsWith(Json, StringComparison.Ordinal) ? null
            : folder >= 0 ? overlay[..(folder + 1)] + name : name;
    }

    /// <summary>Whether a name is not a path, but begins with a protocol, as <c>nbd:</c> or <c>json:</c>.</summary>
    public static bool HasProtocol(string name)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        return name.StartsWith(Json, StringComparison.Ordinal) || (colon >= 0 && (slash < 0 || colon < slash));
    }
}
