using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>Protocols by which disks are served to several hosts.</summary>
internal enum DiskProtocol
{
    /// <summary>NVMe over TCP.</summary>
    Nvme,

    /// <summary>NBD.</summary>
    Nbd,
}

/// <summary>A disk that a server offers, or a subsystem whose namespaces it does not show to this host.</summary>
internal sealed record DiscoveredDisk
{
    /// <summary>How it was found.</summary>
    public required DiskProtocol Protocol { get; init; }

    /// <summary>Name that the verbs take.</summary>
    public required string Name { get; init; }

    /// <summary>Name of the subsystem; null over NBD.</summary>
    public string? Nqn { get; init; }

    /// <summary>Name of the export; null over NVMe.</summary>
    public string? Export { get; init; }

    /// <summary>Identifier of the namespace; 0 without one.</summary>
    public uint Namespace { get; init; }

    /// <summary>Bytes; null if unknown.</summary>
    public long? Size { get; init; }

    /// <summary>Bytes of a block; 0 if unknown.</summary>
    public long BlockSize { get; init; }

    /// <summary>Whether writes are rejected.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Its zones; null: none.</summary>
    public ZonedLimits? Zones { get; init; }

    /// <summary>Why the subsystem could not be looked into; null: it could.</summary>
    public string? Problem { get; init; }

    /// <summary>The last column of the table.</summary>
    public string Description
        => (Problem is not null ? $"({Problem})" : Zones is { } zones ? $"{zones.ZoneCount} of {SizeText.Human(zones.ZoneSize)}" : "none")
            + (IsReadOnly ? ", read-only" : "");

    /// <summary>The disk for programs.</summary>
    public JsonFields Fields()
    {
        var fields = new JsonFields { { "protocol", Protocol == DiskProtocol.Nvme ? "nvme-tcp" : "nbd" }, { "name", Name } };
        if (Protocol == DiskProtocol.Nvme)
        {
            fields.With("nqn", Nqn).WithIf(Namespace != 0, "namespace", Namespace);
        }
        else
        {
            fields.Add("export", Export);
        }

        return Problem is not null ? fields.With("error", Problem)
            : fields.With("size", Size).WithIf(BlockSize > 0, "block_size", BlockSize).With("read_only", IsReadOnly)
                .WithIf(Zones is not null, "zoned", Zones is { } zones ? InfoVerb.LimitFields(zones) : null);
    }
}
