using Paddock.Block;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd;

/// <summary>A named disk of a server.</summary>
public sealed class NbdExport
{
    private const uint PreferredBlock = 4096;

    private volatile string? _unavailable;

    /// <summary>Export name; empty for the default export.</summary>
    public required string Name { get; init; }

    /// <summary>The disk, guarded by <see cref="CheckedDevice"/>; not owned.</summary>
    public required IBlockDevice Device { get; init; }

    /// <summary>Human-readable description.</summary>
    public string Description { get; init; } = "";

    /// <summary>Whether the export is read-only even if the disk is writable.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>
    /// Whether to offer the experimental RESIZE extension on a writable export: clients can change its size, and so grow its storage. The
    /// device must support a resize while requests run (as <c>ServedDevice</c> does).
    /// </summary>
    public bool OffersResize { get; init; }

    /// <summary>Whether to offer the context <c>qemu:allocation-depth</c>: the depth of the layer that holds the bytes.</summary>
    public bool AllocationDepth { get; init; }

    /// <summary>Bitmaps to offer as contexts <c>qemu:dirty-bitmap:NAME</c>; not owned. They cover at least the device's length.</summary>
    public IReadOnlyList<IDirtyBitmap> Bitmaps { get; init; } = [];

    /// <summary>Why clients cannot use the export for now, as a phrase for people; null: they can.</summary>
    internal string? Unavailable
    {
        get => _unavailable;
        set => _unavailable = value;
    }

    /// <summary>Request counters.</summary>
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

    /// <summary>Names of its contexts, and their numbers on the wire.</summary>
    internal IEnumerable<(string Name, uint Id)> Contexts
    {
        get
        {
            yield return (MetaContexts.Allocation, MetaContexts.AllocationId);
            if (AllocationDepth)
            {
                yield return (MetaContexts.Depth, MetaContexts.DepthId);
            }

            for (int i = 0; i < Bitmaps.Count; i++)
            {
                yield return (MetaContexts.DirtyBitmap + Bitmaps[i].Name, MetaContexts.FirstBitmapId + (uint)i);
            }
        }
    }

    /// <summary>Transmission flags for a client with the given form of replies.</summary>
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
