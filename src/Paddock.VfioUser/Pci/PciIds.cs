namespace Paddock.VfioUser.Pci;

/// <summary>
/// Identity of the device. Paddock has no vendor identifier of its own: the device identifiers 10F0h to 10FFh of vendor 1AF4h are there for
/// anybody without registration (QEMU, "PCI IDs for QEMU"). Drivers find the device by its class.
/// </summary>
internal static class PciIds
{
    /// <summary>Vendor.</summary>
    public const ushort Vendor = 0x1AF4;

    /// <summary>Device.</summary>
    public const ushort Device = 0x10F0;

    /// <summary>Class code: mass storage, non-volatile memory, NVM Express I/O controller.</summary>
    public const uint ClassCode = 0x010802;
}
