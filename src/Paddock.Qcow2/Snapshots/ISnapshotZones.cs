using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>What snapshots need of the zones of a disk.</summary>
internal interface ISnapshotZones
{
    /// <summary>Stops all changes of zones, and moves what they have buffered into the image.</summary>
    ValueTask HoldAsync();

    /// <summary>Lets changes of zones go on.</summary>
    void Release();

    /// <summary>The zone record of this moment: everything is durable, and held. Under the metadata mutex.</summary>
    ValueTask<byte[]> CaptureAsync();

    /// <summary>Reads a zone record and checks that the disk can have its zones again.</summary>
    /// <exception cref="Block.BlockException">The snapshot has no zone record, or it is corrupt.</exception>
    ValueTask<ISnapshotZoneSwitch> ReadAsync(SnapshotEntry entry, long diskSize);
}

/// <summary>The zones of a snapshot on their way back to the disk. Under the metadata mutex, with all zones held.</summary>
internal interface ISnapshotZoneSwitch
{
    /// <summary>The header extension that names the zone table.</summary>
    HeaderExtension Extension { get; }

    /// <summary>Writes the zone table to a place of its own.</summary>
    /// <param name="l1Offset">Where the header will name the L1 table.</param>
    ValueTask PlaceAsync(HostOffset l1Offset);

    /// <summary>Frees the place: the header does not name it.</summary>
    void Abandon();

    /// <summary>The header names the table: memory follows, and the previous table is freed.</summary>
    void Switched();

    /// <summary>Brings back what zones have beside their pointers, durably.</summary>
    ValueTask RestoreAttributesAsync();
}
