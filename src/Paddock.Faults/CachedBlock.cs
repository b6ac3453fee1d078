namespace Paddock.Faults;

/// <summary>A block of a volatile cache: 4 KiB, and a mask of the sectors that the cache holds.</summary>
internal sealed class CachedBlock
{
    /// <summary>Bytes of a sector, of a block, and sectors in a block.</summary>
    public const int SectorSize = 512, Size = 4096, Sectors = Size / SectorSize;

    /// <summary>The mask of a block that holds all its sectors.</summary>
    public const byte Whole = 0xFF;

    /// <summary>Its contents; undefined in sectors that it does not hold.</summary>
    public byte[] Bytes { get; } = new byte[Size];

    /// <summary>Bit n is set if sector n is here.</summary>
    public byte Held { get; set; }

    /// <summary>When it came into the cache.</summary>
    public long Birth { get; set; }

    /// <summary>When it was last changed.</summary>
    public long Changed { get; set; }

    /// <summary>Whether a sector is here.</summary>
    public bool Holds(int sector) => (Held & (1 << sector)) != 0;

    /// <summary>The mask of a range of sectors.</summary>
    /// <param name="from">The first one.</param>
    /// <param name="to">Behind the last one.</param>
    public static byte Mask(int from, int to) => (byte)((Whole >> (Sectors - to)) & (Whole << from));
}

/// <summary>Where the newest contents of a position are.</summary>
internal enum CachePlace
{
    /// <summary>In a block of the cache.</summary>
    Block,

    /// <summary>In a range that waits to be zeroed.</summary>
    Zeroes,

    /// <summary>In the storage below.</summary>
    Below,
}
