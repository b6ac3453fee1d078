using System.Globalization;
using System.Net;
using Paddock.Images.Text;
using Paddock.Nvme;

namespace Paddock.Images.Nodes;

/// <summary>
/// What <c>nvme+tcp://HOST:PORT[,HOST:PORT...]/NQN?ns=1&amp;hostnqn=NQN</c>, or the options of the driver nvme-tcp, name. Several
/// addresses are paths to one subsystem.
/// </summary>
/// <param name="Options">The subsystem, and how to connect to it.</param>
/// <param name="Namespace">The namespace's id.</param>
internal readonly record struct NvmeName(NvmeTcpHostOptions Options, uint Namespace)
{
    /// <summary>The driver's name.</summary>
    public const string Driver = "nvme-tcp";

    /// <summary>The key that names a file with the host's secret.</summary>
    public const string SecretKey = "dhchap-secret-file";

    private const string Scheme = "nvme+tcp://";
    private const int DefaultPort = 4420;
    private const int MostAddresses = 8;

    // with several paths, a server that takes over first waits until the other one cannot write any more
    private const uint DefaultReconnect = 5, DefaultReconnectOfPaths = 30, MostReconnect = 86400;
    private const string NamespaceKey = "ns", HostKey = "hostnqn", ReconnectKey = "reconnect", NamespaceOption = "namespace";

    private static readonly string[] QueryKeys = [NamespaceKey, HostKey, SecretKey, ReconnectKey];

    /// <summary>Whether a name is of this kind.</summary>
    public static bool Is(string? name) => name?.StartsWith(Scheme, StringComparison.Ordinal) == true;

    /// <summary>The name that says what options say; takes them out.</summary>
    /// <exception cref="ToolException">One is missing or unknown.</exception>
    public static string Of(QDict options)
    {
        string host = options.Take("host") as string ?? throw new ToolException($"A host must be specified for '{Driver}'");
        string nqn = options.Take("nqn") as string ?? throw new ToolException($"A subsystem (nqn) must be specified for '{Driver}'");
        string port = Text(options, "port") ?? DefaultPort.ToString(CultureInfo.InvariantCulture);
        string servers = !host.Contains(',', StringComparison.Ordinal) ? $"{host}:{port}"
            : string.Join(',', host.Split(',').Select(h => HasPort(h) ? h : $"{h}:{port}"));
        string name = $"{Scheme}{servers}/{nqn}?{NamespaceKey}={Text(options, NamespaceOption) ?? "1"}";
        foreach (string key in new[] { HostKey, SecretKey, ReconnectKey })
        {
            name += Text(options, key) is { } value ? $"&{key}={Uri.EscapeDataString(value)}" : "";
        }

        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Driver}' doesn't support the option '{unknown}'")
            : name;
    }

    /// <summary>Reads a name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="isTyped">
    /// Whether the user typed it. A name stored in an image gets no secret: whoever wrote the image would choose who is told the
    /// proof.
    /// </param>
    /// <exception cref="ToolException">Invalid name, or its secret cannot be read.</exception>
    public static NvmeName Parse(string name, bool isTyped)
    {
        string rest = name[Scheme.Length..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal), query = QueryOf(rest);
        string servers = slash < 0 ? rest : rest[..slash];
        string nqn = slash < 0 ? "" : rest[(slash + 1)..(query > slash ? query : rest.Length)];
        uint id = 1;
        var asked = query > slash ? ParseQuery(rest[(query + 1)..]) : [];
        var addresses = AddressesOf(servers);
        bool sound = nqn.Length > 0 && nqn.Length <= NvmeSubsystem.MaxNqn && asked is not null
            && (!asked.TryGetValue(NamespaceKey, out string? number) || uint.TryParse(number, CultureInfo.InvariantCulture, out id));
        if (!sound || addresses is null)
        {
            throw new InvalidNameException($"'{name}': expected {Scheme}HOST:PORT[,HOST:PORT...]/NQN"
                + $"[?{NamespaceKey}=1][&{HostKey}=NQN][&{SecretKey}=PATH][&{ReconnectKey}=SECONDS]");
        }

        if (addresses.Length > MostAddresses || addresses.Distinct().Count() != addresses.Length)
        {
            throw new InvalidNameException(
                $"'{name}': it has {addresses.Length} addresses; expected 1 to {MostAddresses}, all different");
        }

        var options = new NvmeTcpHostOptions
        {
            Host = addresses[0].Host, Port = addresses[0].Port, OtherAddresses = addresses[1..], SubsystemNqn = nqn,
            ReconnectTime = ReconnectOf(asked!, name, addresses.Length > 1 ? DefaultReconnectOfPaths : DefaultReconnect),
        };
        if (asked!.TryGetValue(HostKey, out string? hostNqn))
        {
            options = options with { HostNqn = hostNqn };
        }

        bool namesSecret = asked.TryGetValue(SecretKey, out string? file);
        if (namesSecret && !isTyped)
        {
            throw new ToolException($"'{name}': a name that stands in an image must not name a file of secrets ({SecretKey})");
        }

        var keys = !isTyped ? null : namesSecret
            ? DhChapSecrets.ForHost(file!, options.HostNqn)
            : DhChapSecrets.FromEnvironment(Environment.GetEnvironmentVariable);
        return new NvmeName(options with { Keys = keys }, id);
    }

    /// <summary>How long a lost connection is tried again; zero: not at all.</summary>
    private static TimeSpan ReconnectOf(Dictionary<string, string> asked, string name, uint seconds)
    {
        if (asked.TryGetValue(ReconnectKey, out string? text)
            && (!uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out seconds) || seconds > MostReconnect))
        {
            throw new ToolException($"'{ReconnectKey}={text}' in '{name}' is no number of seconds, 0 to {MostReconnect}");
        }

        return TimeSpan.FromSeconds(seconds);
    }

    // null: one is not an address
    private static DnsEndPoint[]? AddressesOf(string servers)
    {
        var all = new List<DnsEndPoint>();
        foreach (string server in servers.Split(','))
        {
            ushort port = DefaultPort;
            int colon = server.LastIndexOf(':');
            bool hasPort = HasPort(server);
            string host = (hasPort ? server[..colon] : server).Trim('[', ']');
            if (host.Length == 0 || (hasPort && !ushort.TryParse(server[(colon + 1)..], CultureInfo.InvariantCulture, out port)))
            {
                return null;
            }

            all.Add(new DnsEndPoint(host, port));
        }

        return [.. all];
    }

    private static bool HasPort(string server) => server.LastIndexOf(':') > server.LastIndexOf(']');

    private static string? Text(QDict options, string key)
        => Convert.ToString(options.Take(key), CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : null;

    // a '?' may stand in a subsystem's name: the query begins at the one that is followed by a key of ours
    private static int QueryOf(string text)
    {
        for (int at = text.IndexOf('?', StringComparison.Ordinal); at >= 0; at = text.IndexOf('?', at + 1))
        {
            string rest = text[(at + 1)..];
            if (Array.Exists(QueryKeys, k => rest.StartsWith(k + "=", StringComparison.Ordinal)))
            {
                return at;
            }
        }

        return -1;
    }

    private static Dictionary<string, string>? ParseQuery(string query)
    {
        var found = new Dictionary<string, string>();
        foreach (string part in query.Split('&'))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !QueryKeys.Contains(part[..equals])
                || !found.TryAdd(part[..equals], Uri.UnescapeDataString(part[(equals + 1)..])))
            {
                return null;
            }
        }

        return found;
    }
}
