namespace Paddock.Faults;

/// <summary>A block of a volatile cache: 4 KiB, and a mask of the cached sectors.</summary>
internal sealed class CachedBlock
{
    /// <summary>Bytes in a sector, bytes in a block, and sectors in a block.</summary>
    public const int SectorSize = 512, Size = 4096, Sectors = Size / SectorSize;

    /// <summary>The mask of a block that holds all its sectors.</summary>
    public const byte Whole = 0xFF;

    /// <summary>Contents; undefined in sectors that are not cached.</summary>
    public byte[] Bytes { get; } = new byte[Size];

    /// <summary>Mask of the cached sectors: bit n is set for sector n.</summary>
    public byte Held { get; set; }

    /// <summary>Time at which the block entered the cache.</summary>
    public long Birth { get; set; }

    /// <summary>Time of the last change.</summary>
    public long Changed { get; set; }

    /// <summary>Whether a sector is cached.</summary>
    public bool Holds(int sector) => (Held & (1 << sector)) != 0;

    /// <summary>Returns the mask of a range of sectors.</summary>
    /// <param name="from">First sector.</param>
    /// <param name="to">Sector after the last.</param>
    public static byte Mask(int from, int to) => (byte)((Whole >> (Sectors - to)) & (Whole << from));
}

/// <summary>Location of the latest contents of a position.</summary>
internal enum CachePlace
{
    /// <summary>In a block of the cache.</summary>
    Block,

    /// <summary>In a range that waits to be zeroed.</summary>
    Zeroes,

    /// <summary>In the storage below.</summary>
    Below,
}
