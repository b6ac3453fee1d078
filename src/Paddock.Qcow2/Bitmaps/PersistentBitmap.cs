using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>One persistent bitmap of an open image.</summary>
internal sealed class PersistentBitmap
{
    /// <summary>A bitmap of the directory.</summary>
    public PersistentBitmap(BitmapEntry stored)
    {
        Name = stored.Name;
        GranularityBits = stored.GranularityBits;
        Extra = stored.Extra;
        Stored = stored;
        IsEnabled = (stored.Flags & BitmapFlags.Auto) != 0;
        IsInconsistent = stored.IsInUse;
    }

    /// <summary>A new, enabled bitmap without a bit set.</summary>
    public PersistentBitmap(string name, int granularityBits, long length)
    {
        Name = name;
        GranularityBits = granularityBits;
        Extra = [];
        IsEnabled = true;
        Bits = new DirtyBits(length, granularityBits);
    }

    public string Name { get; }

    /// <summary>log2 of the granularity in bytes.</summary>
    public int GranularityBits { get; }

    /// <summary>Whether it records changes.</summary>
    public bool IsEnabled { get; set; }

    /// <summary>Whether its bits cannot be trusted: it can only be removed.</summary>
    public bool IsInconsistent { get; set; }

    /// <summary>Its entry on the storage; null while it is in memory alone.</summary>
    public BitmapEntry? Stored { get; set; }

    /// <summary>Its bits; null until they are needed.</summary>
    public DirtyBits? Bits { get; private set; }

    /// <summary>The entries of its table on the storage; known when its bits are loaded.</summary>
    public ulong[] Table { get; set; } = [];

    /// <summary>Its extra data on the storage.</summary>
    public byte[] Extra { get; }

    /// <summary>What is reported about it.</summary>
    public Qcow2BitmapInfo Info => new(Name, 1L << GranularityBits, IsInconsistent, IsEnabled);

    /// <summary>Flags of a bitmap that is stored whole.</summary>
    public BitmapFlags StoredFlags
        => (IsEnabled ? BitmapFlags.Auto : BitmapFlags.None) | ((Stored?.Flags ?? BitmapFlags.None) & BitmapFlags.ExtraDataCompatible);

    /// <summary>Its bits have been read.</summary>
    public void Loaded(DirtyBits bits, ulong[] table)
    {
        Bits = bits;
        Table = table;
    }
}
