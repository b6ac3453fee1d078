namespace Paddock.Images;

/// <summary>Receives what is unusual about an image while it is opened, and later.</summary>
internal interface IOpenMessages
{
    /// <summary>A warning about the image, or about how it is opened.</summary>
    void Warn(string warning);

    /// <summary>A line about the repair of an image that was not closed properly.</summary>
    void Repaired(string line);

    /// <summary>The open image was found corrupt, and is closed for writing.</summary>
    void Corrupted(string reason);

    /// <summary>An image that is open for reading was found corrupt.</summary>
    void FoundCorrupt(string reason);

    /// <summary>The format of a writable disk was only recognized as raw.</summary>
    void GuessedRaw(string name);
}
