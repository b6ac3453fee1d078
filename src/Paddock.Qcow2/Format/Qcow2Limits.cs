namespace Paddock.Qcow2.Format;

/// <summary>What an image may claim. A claim beyond is refused on open, before anything of that size is read or held in memory.</summary>
internal static class Qcow2Limits
{
    public const int MinClusterBits = 9;

    public const int MaxClusterBits = 21;

    /// <summary>Bytes of an L1 table; QEMU's limit, enough for 2 EiB at 2 MiB clusters.</summary>
    public const long MaxL1Bytes = 32 << 20;

    /// <summary>Bytes of the refcount table; QEMU's limit.</summary>
    public const long MaxRefcountTableBytes = 8 << 20;

    /// <summary>QEMU's limit on internal snapshots.</summary>
    public const int MaxSnapshots = 65536;

    /// <summary>Bytes of the snapshot table; QEMU's limit.</summary>
    public const int MaxSnapshotTableBytes = 1024 * MaxSnapshots;

    /// <summary>Bytes of extra data in a snapshot table entry; QEMU's limit.</summary>
    public const int MaxSnapshotExtraBytes = 1024;

    /// <summary>Bytes of the backing file's format name; QEMU's limit.</summary>
    public const int MaxBackingFormatBytes = 15;

    /// <summary>log2 of the widest refcount: 64 bits.</summary>
    public const int MaxRefcountOrder = 6;

    /// <summary>Bytes of the backing file's name.</summary>
    public const int MaxBackingNameBytes = 1023;

    /// <summary>Where a structure that the header names may begin: below what any file system holds.</summary>
    public const ulong MaxHostOffset = 1UL << 62;

    /// <summary>Bytes of a LUKS header with its key material; those of QEMU and cryptsetup take 2 MiB.</summary>
    public const ulong MaxEncryptionHeaderBytes = 64 << 20;

    /// <summary>Zones on a disk (zoned-qcow2.md 1.2): an 8 MiB zone table.</summary>
    public const int MaxZones = 1_048_576;

    /// <summary>QEMU's limit on persistent bitmaps.</summary>
    public const int MaxBitmaps = 65535;

    /// <summary>Bytes of the bitmap directory; QEMU's limit.</summary>
    public const int MaxBitmapDirectoryBytes = 1024 * MaxBitmaps;

    /// <summary>Entries of a bitmap table; QEMU's limit.</summary>
    public const uint MaxBitmapTableEntries = 0x800_0000;

    /// <summary>Bytes of the bits of one bitmap; QEMU's limit.</summary>
    public const long MaxBitmapBytes = 512 << 20;

    /// <summary>Bytes of the bits of all bitmaps that are in memory at a time.</summary>
    public const long MaxLoadedBitmapBytes = 2L << 30;

    public const int MinBitmapGranularityBits = 9;

    public const int MaxBitmapGranularityBits = 31;

    /// <summary>Bytes of a bitmap's name.</summary>
    public const int MaxBitmapNameBytes = 1023;
}
