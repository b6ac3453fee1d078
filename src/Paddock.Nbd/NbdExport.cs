using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>A disk under a name.</summary>
public sealed class NbdExport
{
    private const uint PreferredBlock = 4096;

    /// <summary>The name by which clients ask for it; empty for the default one.</summary>
    public required string Name { get; init; }

    /// <summary>The disk, guarded by <see cref="CheckedDevice"/>; not owned.</summary>
    public required IBlockDevice Device { get; init; }

    /// <summary>A text for people.</summary>
    public string Description { get; init; } = "";

    /// <summary>Take no changes, whatever the disk would take.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>
    /// Offer the experimental RESIZE extension where the export can be written: clients may change its size, and so make what stores it
    /// grow. The device must take that while requests run (as <c>ServedDevice</c> does).
    /// </summary>
    public bool OffersResize { get; init; }

    /// <summary>Offer the context <c>qemu:allocation-depth</c> too: how many layers down the image is that holds the bytes.</summary>
    public bool AllocationDepth { get; init; }

    /// <summary>The requests of its clients.</summary>
    internal RequestCounters Statistics { get; init; } = new();

    internal bool IsReadOnly => ReadOnly || Device.IsReadOnly;

    internal BlockSizeInfo BlockSize
    {
        get
        {
            uint minimum = (uint)Device.Limits.RequestAlignment;
            uint maximum = (uint)Math.Min(NbdLimits.MaxPayload, Device.Limits.MaxTransfer) & ~(minimum - 1);
            return new BlockSizeInfo(minimum, Math.Max(PreferredBlock, minimum), maximum);
        }
    }

    /// <summary>The names of its contexts; the place of each is its number on the wire.</summary>
    internal IEnumerable<string> Contexts
        => AllocationDepth ? [MetaContexts.Allocation, MetaContexts.Depth] : [MetaContexts.Allocation];

    /// <summary>What it can do, for a client that agreed on a form of replies.</summary>
    internal TransmissionFlags FlagsFor(HeaderForm form, bool multiConn)
    {
        var flags = TransmissionFlags.HasFlags | TransmissionFlags.SendFlush | TransmissionFlags.SendFua | TransmissionFlags.SendCache;
        flags |= IsReadOnly
            ? TransmissionFlags.ReadOnly
            : TransmissionFlags.SendTrim | TransmissionFlags.SendWriteZeroes | TransmissionFlags.SendFastZero;
        flags |= OffersResize && !IsReadOnly ? TransmissionFlags.SendResize : 0;
        flags |= form == HeaderForm.Simple ? 0 : TransmissionFlags.SendDf;
        flags |= form == HeaderForm.Extended ? TransmissionFlags.BlockStatusPayload : 0;
        return multiConn ? flags | TransmissionFlags.CanMultiConn : flags;
    }
}
