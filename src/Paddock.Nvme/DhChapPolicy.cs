namespace Paddock.Nvme;

/// <summary>The keys between a host and a subsystem.</summary>
/// <param name="Host">Proves the host to the controller.</param>
/// <param name="Controller">Proves the controller to the host; null: it cannot.</param>
public sealed record DhChapKeys(DhChapKey Host, DhChapKey? Controller);

/// <summary>Which hosts have keys, and what may be agreed with them. It does not change: a subsystem is given another one.</summary>
public sealed class DhChapPolicy
{
    /// <summary>The keys of each host, by its qualified name.</summary>
    public IReadOnlyDictionary<string, DhChapKeys> Hosts { get; init; } = new Dictionary<string, DhChapKeys>();

    /// <summary>The keys of every other host; null: other hosts may not in.</summary>
    public DhChapKeys? Others { get; init; }

    /// <summary>The hashes that may be agreed: the first one that the host offers is taken.</summary>
    public IReadOnlyList<DhChapHash> Hashes { get; init; } = DefaultHashes;

    /// <summary>The groups that may be agreed: the first one that the host offers is taken.</summary>
    public IReadOnlyList<DhChapGroup> Groups { get; init; } = DefaultGroups;

    /// <summary>All hashes, the longest first.</summary>
    public static IReadOnlyList<DhChapHash> DefaultHashes { get; } = [DhChapHash.Sha512, DhChapHash.Sha384, DhChapHash.Sha256];

    /// <summary>All groups but NULL, those of 128 bits of strength and more first, the cheapest of them first.</summary>
    public static IReadOnlyList<DhChapGroup> DefaultGroups { get; } =
        [DhChapGroup.Ffdhe3072, DhChapGroup.Ffdhe4096, DhChapGroup.Ffdhe6144, DhChapGroup.Ffdhe8192, DhChapGroup.Ffdhe2048];

    /// <summary>The keys of a host; null: it may not in.</summary>
    public DhChapKeys? Find(string host) => Hosts.GetValueOrDefault(host) ?? Others;
}
