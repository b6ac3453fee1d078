namespace Paddock.Block;

/// <summary>
/// A storage that needs no space for zeroes, wherever they are, and in which other files cannot use what one does not: an image in it gains
/// nothing from freeing clusters.
/// </summary>
internal interface IThinStorage
{
    /// <summary>Whether that is so.</summary>
    bool IsThin { get; }
}

/// <summary>Finds the thin storage under decorators.</summary>
internal static class ThinStorage
{
    /// <summary>Whether the storage, or the one that it decorates, is thin.</summary>
    public static bool Is(IStorage storage)
    {
        var current = storage;
        while (current is not IThinStorage && current is DelegatingStorage { Inner: var inner })
        {
            current = inner;
        }

        return current is IThinStorage { IsThin: true };
    }
}
