using System.Numerics;
using Paddock.Nvme.Pcie;

namespace Paddock.VfioUser.Pci;

/// <summary>
/// Layout of BAR 0, each part in pages of its own.
/// <code>
/// offset  size
///      0  1000h  registers of the controller
///  1000h  pages  doorbells
///   then  pages  table of MSI-X, then its pending bits: both are the client's, and read as zero here
/// </code>
/// </summary>
internal sealed class BarLayout
{
    private const uint Page = 4096, DoorbellsPerQueue = 2 * sizeof(uint), TableEntry = 16, VectorsPerByte = 8;

    /// <param name="ioQueues">Number of I/O queue pairs.</param>
    /// <param name="vectors">Number of vectors of MSI-X; 0: there is no table.</param>
    public BarLayout(int ioQueues, int vectors)
    {
        DoorbellBytes = Pages(((uint)ioQueues + 1) * DoorbellsPerQueue);
        TableOffset = PcieController.DoorbellOffset + DoorbellBytes;
        PendingOffset = TableOffset + Pages((uint)vectors * TableEntry);
        Size = BitOperations.RoundUpToPowerOf2(PendingOffset + Pages(((uint)vectors + VectorsPerByte - 1) / VectorsPerByte));
    }

    /// <summary>Bytes of doorbells: whole pages.</summary>
    public uint DoorbellBytes { get; }

    /// <summary>Offset of the table of MSI-X, and end of the doorbells.</summary>
    public uint TableOffset { get; }

    /// <summary>Offset of the pending bits of MSI-X.</summary>
    public uint PendingOffset { get; }

    /// <summary>Bytes of the BAR: a power of two.</summary>
    public uint Size { get; }

    private static uint Pages(uint bytes) => (bytes + Page - 1) & ~(Page - 1);
}
