using System.Globalization;
using System.Net;

namespace Paddock.Nvme;

/// <summary>Address of a subsystem, and settings of its host.</summary>
public sealed record NvmeTcpHostOptions
{
    /// <summary>Name or address of the server.</summary>
    public required string Host { get; init; }

    /// <summary>TCP port.</summary>
    public int Port { get; init; } = 4420;

    /// <summary>
    /// Further addresses of the subsystem, for example of a second server that takes over. The host connects to all of them, and uses the
    /// one whose controller has the namespaces (asymmetric namespace access).
    /// </summary>
    public IReadOnlyList<DnsEndPoint> OtherAddresses { get; init; } = [];

    /// <summary>The subsystem's qualified name.</summary>
    public required string SubsystemNqn { get; init; }

    /// <summary>The host's own qualified name.</summary>
    public string HostNqn { get; init; } = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-7061646f636b";

    /// <summary>I/O queues, each a connection.</summary>
    public int IoQueues { get; init; } = 1;

    /// <summary>Commands in flight on one queue.</summary>
    public int QueueDepth { get; init; } = 128;

    /// <summary>Protect headers by digests.</summary>
    public bool HeaderDigest { get; init; }

    /// <summary>Protect data by digests.</summary>
    public bool DataDigest { get; init; }

    /// <summary>
    /// Keys to authenticate with; null: none. With a controller key, the controller must authenticate too.
    /// </summary>
    public DhChapKeys? Keys { get; init; }

    /// <summary>The hashes that are offered.</summary>
    public IReadOnlyList<DhChapHash> Hashes { get; init; } = DhChapPolicy.DefaultHashes;

    /// <summary>Offered groups: all of them, since a target may support only NULL.</summary>
    public IReadOnlyList<DhChapGroup> Groups { get; init; } = [.. DhChapPolicy.DefaultGroups, DhChapGroup.Null];

    /// <summary>
    /// Time limit for reconnecting, and for the wait until a path can be used, after which waiting requests fail; zero: no reconnecting.
    /// </summary>
    public TimeSpan ReconnectTime { get; init; }

    /// <summary>All addresses, for messages.</summary>
    internal string Places => string.Join(',', OtherAddresses.Select(static a => PlaceOf(a.Host, a.Port)).Prepend(PlaceOf(Host, Port)));

    private static string PlaceOf(string host, int port)
        => string.Create(CultureInfo.InvariantCulture, $"{(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host)}:{port}");
}
