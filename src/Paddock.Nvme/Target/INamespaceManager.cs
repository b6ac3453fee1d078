using Paddock.Block;

namespace Paddock.Nvme.Target;

/// <summary>A namespace that a host asks for.</summary>
/// <param name="Id">Its identifier, which is free.</param>
/// <param name="Bytes">Its size in bytes: of a zoned one, a multiple of the zone size.</param>
/// <param name="BlockSize">Bytes of a logical block: 512 or 4096.</param>
/// <param name="ZoneSize">Bytes of each zone; 0: it has no zones.</param>
/// <param name="ZoneCapacity">Bytes that can be written to each zone.</param>
/// <param name="MaxActiveZones">Maximum number of active zones; 0: no limit.</param>
/// <param name="MaxOpenZones">Maximum number of open zones; 0: no limit.</param>
/// <param name="IsPrivate">Whether it can be attached to one controller only.</param>
internal sealed record NamespaceRequest(
    uint Id, long Bytes, int BlockSize, long ZoneSize, long ZoneCapacity, uint MaxActiveZones, uint MaxOpenZones, bool IsPrivate)
{
    /// <summary>Random write areas that its zones can have; all zero: none.</summary>
    public RandomAreaLimits RandomArea { get; init; }
}

/// <summary>
/// Creates and deletes the disks of namespaces for hosts. One call at a time; the subsystem adds and removes the namespaces themselves.
/// </summary>
internal interface INamespaceManager
{
    /// <summary>Total size of the namespaces that it may create, in bytes.</summary>
    long TotalBytes { get; }

    /// <summary>What is left of it.</summary>
    long FreeBytes { get; }

    /// <summary>Maximum identifier of a namespace.</summary>
    uint MaxNamespaces { get; }

    /// <summary>The size in bytes that those of namespaces should be a multiple of.</summary>
    long SizeGranularity { get; }

    /// <summary>Size of the zones of a new zoned namespace in bytes: a power of two; 0: it creates none.</summary>
    long ZoneSize { get; }

    /// <summary>Random write areas that the zones of a new namespace can have, if its host asks for them; all zero: none.</summary>
    RandomAreaLimits RandomArea { get; }

    /// <summary>Whether it has created a namespace: only those can be deleted, and have another block size.</summary>
    bool Owns(NvmeNamespace ns);

    /// <summary>Creates a disk, durably, and opens it.</summary>
    /// <exception cref="BlockException">It cannot be created; nothing is left of it.</exception>
    ValueTask<NvmeNamespace> CreateAsync(NamespaceRequest request);

    /// <summary>Records the block size and the hosts of a namespace durably.</summary>
    /// <exception cref="BlockException">They cannot be recorded.</exception>
    ValueTask SaveAsync(NvmeNamespace ns, HostAttachments attachments);

    /// <summary>Ends the requests to a disk that an injected fault holds.</summary>
    void GiveUpHeld(NvmeNamespace ns);

    /// <summary>Deletes a disk, durably. Nothing uses it any more.</summary>
    /// <exception cref="BlockException">It cannot be deleted: it is left as it was.</exception>
    ValueTask DeleteAsync(NvmeNamespace ns);
}
