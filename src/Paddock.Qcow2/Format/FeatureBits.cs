namespace Paddock.Qcow2.Format;

/// <summary>Features without which an image must not be opened at all (header bytes 72-79).</summary>
[Flags]
internal enum IncompatibleFeatures : ulong
{
    None = 0,
    Dirty = 1,
    Corrupt = 2,
    ExternalDataFile = 4,
    CompressionType = 8,
    ExtendedL2 = 16,

    /// <summary>Spec section 1.1.</summary>
    Zoned = 32,

    /// <summary>Data may lie behind the zone table (docs/formats/paddock-extension.md).</summary>
    ZoneData = 1UL << 48,
}

/// <summary>Features that may be ignored (header bytes 80-87).</summary>
[Flags]
internal enum CompatibleFeatures : ulong
{
    None = 0,
    LazyRefcounts = 1,
}

/// <summary>Features whose bits a program clears before it writes, unless it knows them (header bytes 88-95).</summary>
[Flags]
internal enum AutoclearFeatures : ulong
{
    None = 0,
    Bitmaps = 1,
    RawExternalData = 2,

    /// <summary>Paddock's table of unreadable ranges is valid (docs/formats/paddock-extension.md).</summary>
    UnreadableRanges = 1UL << 48,
}
