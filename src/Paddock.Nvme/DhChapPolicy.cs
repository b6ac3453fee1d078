namespace Paddock.Nvme;

/// <summary>The keys between a host and a subsystem.</summary>
/// <param name="Host">Proves the host to the controller.</param>
/// <param name="Controller">Proves the controller to the host; null: it cannot.</param>
public sealed record DhChapKeys(DhChapKey Host, DhChapKey? Controller);

/// <summary>Keys of the hosts, and the permitted hashes and groups. Immutable: to change it, assign another to the subsystem.</summary>
public sealed class DhChapPolicy
{
    /// <summary>The keys of each host, by its qualified name.</summary>
    public IReadOnlyDictionary<string, DhChapKeys> Hosts { get; init; } = new Dictionary<string, DhChapKeys>();

    /// <summary>Keys of every other host; null to reject other hosts.</summary>
    public DhChapKeys? Others { get; init; }

    /// <summary>Permitted hashes: the first one offered by the host is used.</summary>
    public IReadOnlyList<DhChapHash> Hashes { get; init; } = DefaultHashes;

    /// <summary>Permitted groups: the first one offered by the host is used.</summary>
    public IReadOnlyList<DhChapGroup> Groups { get; init; } = DefaultGroups;

    /// <summary>All hashes, the longest first.</summary>
    public static IReadOnlyList<DhChapHash> DefaultHashes { get; } = [DhChapHash.Sha512, DhChapHash.Sha384, DhChapHash.Sha256];

    /// <summary>All groups but NULL, those of 128 bits of strength and more first, the cheapest of them first.</summary>
    public static IReadOnlyList<DhChapGroup> DefaultGroups { get; } =
        [DhChapGroup.Ffdhe3072, DhChapGroup.Ffdhe4096, DhChapGroup.Ffdhe6144, DhChapGroup.Ffdhe8192, DhChapGroup.Ffdhe2048];

    /// <summary>Keys of a host; null if the host is rejected.</summary>
    public DhChapKeys? Find(string host) => Hosts.GetValueOrDefault(host) ?? Others;
}
