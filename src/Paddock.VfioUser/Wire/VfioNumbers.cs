namespace Paddock.VfioUser.Wire;

/// <summary>Commands ("Commands"). Older texts number some of them differently; these are the numbers of QEMU.</summary>
internal enum Command : ushort
{
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    GetInfo = 4,
    GetRegionInfo = 5,
    GetRegionIoDescriptors = 6,
    GetIrqInfo = 7,
    SetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    DmaRead = 11,
    DmaWrite = 12,
    Reset = 13,
    RegionWriteMulti = 15,
    Feature = 16,
    MigrationRead = 17,
    MigrationWrite = 18,
}

/// <summary>Flags of the header; the type is in the lowest four bits.</summary>
[Flags]
internal enum HeaderFlags : uint
{
    None = 0,
    Reply = 1,
    TypeMask = 0xF,
    NoReply = 0x10,
    Error = 0x20,
}

/// <summary>Error numbers of replies (errno(3) on Linux).</summary>
internal enum ErrorNumber
{
    None = 0,
    NoEntry = 2,
    TooBig = 7,
    NoMemory = 12,
    Exists = 17,
    Invalid = 22,
    NoSpace = 28,
    NotSupported = 95,
}

/// <summary>VFIO_DEVICE_FLAGS_*.</summary>
[Flags]
internal enum DeviceFlags : uint
{
    None = 0,
    Reset = 1,
    Pci = 2,
}

/// <summary>VFIO_REGION_INFO_FLAG_*.</summary>
[Flags]
internal enum RegionFlags : uint
{
    None = 0,
    Read = 1,
    Write = 2,
    Map = 4,
    Capabilities = 8,
}

/// <summary>Flags of memory regions ("VFIO_USER_DMA_MAP").</summary>
[Flags]
internal enum DmaFlags : uint
{
    None = 0,
    Readable = 1,
    Writable = 2,
}

/// <summary>VFIO_DMA_UNMAP_FLAG_*.</summary>
[Flags]
internal enum UnmapFlags : uint
{
    None = 0,
    DirtyBitmap = 1,
    All = 2,
}

/// <summary>VFIO_IRQ_INFO_*.</summary>
[Flags]
internal enum IrqInfoFlags : uint
{
    None = 0,
    Event = 1,
    Maskable = 2,
    AutoMasked = 4,
    NoResize = 8,
}

/// <summary>VFIO_IRQ_SET_*: one kind of data and one action.</summary>
[Flags]
internal enum IrqSetFlags : uint
{
    None = 0,
    DataNone = 1,
    DataBool = 2,
    DataEvent = 4,
    DataMask = 7,
    Mask = 8,
    Unmask = 0x10,
    Trigger = 0x20,
    ActionMask = 0x38,
}

/// <summary>Indexes of the regions of a PCI device (VFIO_PCI_*_REGION_INDEX).</summary>
internal static class RegionIndex
{
    public const uint Bar0 = 0;
    public const uint Configuration = 7;

    /// <summary>Number of regions: six BARs, ROM, configuration space, VGA.</summary>
    public const uint Count = 9;
}

/// <summary>Indexes of the interrupt types of a PCI device (VFIO_PCI_*_IRQ_INDEX).</summary>
internal static class IrqIndex
{
    public const uint Pin = 0;
    public const uint Msi = 1;
    public const uint MsiX = 2;

    /// <summary>Number of types: INTx, MSI, MSI-X, error, request.</summary>
    public const uint Count = 5;
}
