namespace Paddock.Images;

/// <summary>Backing file names as they stand in an image.</summary>
internal static class BackingName
{
    /// <summary>The name to open: a relative one is relative to the folder of the overlay.</summary>
    public static string Resolve(string name, string overlay)
    {
        bool plain = !name.StartsWith("json:", StringComparison.Ordinal) && !name.StartsWith('/');
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        bool hasProtocol = colon >= 0 && (slash < 0 || colon < slash);
        int folder = overlay.LastIndexOf('/');
        return plain && !hasProtocol && folder >= 0 ? overlay[..(folder + 1)] + name : name;
    }
}
