using System.Globalization;
using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Tools;

/// <summary>The driver nvme-tcp: a namespace of a remote subsystem as a node, as <c>nvme+tcp://HOST:PORT/NQN?ns=1&amp;hostnqn=NQN</c> or by options.</summary>
internal static class NvmeNode
{
    /// <summary>Its name.</summary>
    public const string Driver = "nvme-tcp";

    private const string Scheme = "nvme+tcp://";
    private const int DefaultPort = 4420;
    private const string NamespaceKey = "ns", HostKey = "hostnqn", SecretKey = "dhchap-secret-file", NamespaceOption = "namespace";

    private static readonly string[] QueryKeys = [NamespaceKey, HostKey, SecretKey];

    /// <summary>Whether a name is one of this driver's.</summary>
    public static bool Owns(string? name) => name?.StartsWith(Scheme, StringComparison.Ordinal) == true;

    /// <summary>Connects where a name or options ask for this driver; null when they ask for another.</summary>
    public static async ValueTask<ImageNode?> TryOpenAsync(string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (!Owns(name) && driver != Driver)
        {
            return null;
        }

        if (Owns(name) && driver is not (null or "raw" or Driver))
        {
            throw new ToolException($"'{driver}' driver cannot open '{name}'");
        }

        string path = name ?? NameOf(options);
        var device = await OpenAsync(path, settings.ReadOnly);
        return new ImageNode { Driver = "raw", Filename = path, Protocol = Driver, Storage = new DeviceStorage(device, path), Device = device };
    }

    /// <summary>Connects to the namespace that a name names.</summary>
    public static async ValueTask<IBlockDevice> OpenAsync(string name, bool readOnly, CancellationToken cancellationToken = default)
    {
        (name, var reconnect) = NvmeReconnect.Take(name);
        var (options, id) = Parse(name);
        var host = await ConnectAsync(options with { ReconnectTime = reconnect }, cancellationToken);
        try
        {
            var device = await host.OpenAsync(id, ownsHost: true, cancellationToken);
            return device.IsReadOnly && !readOnly
                ? throw new ToolException($"namespace {id} of '{options.SubsystemNqn}' is write protected")
                : CheckedBlockDevice.Wrap(device);
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    private static async ValueTask<NvmeTcpHost> ConnectAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await NvmeTcpHost.ConnectAsync(options, cancellationToken);
        }
        catch (BlockException e) when (e.Error == BlockError.NotPermitted && options.Keys is null)
        {
            throw new ToolException($"{e.Message}: set {DhChapSecrets.HostVariable}, or write ?{SecretKey}=PATH behind the name");
        }
    }

    private static string NameOf(QDict options)
    {
        string host = options.Take("host") as string ?? throw new ToolException("A host must be specified for 'nvme-tcp'");
        string nqn = options.Take("nqn") as string ?? throw new ToolException("A subsystem (nqn) must be specified for 'nvme-tcp'");
        string port = Convert.ToString(options.Take("port"), CultureInfo.InvariantCulture) is { Length: > 0 } p ? p : "4420";
        string id = Convert.ToString(options.Take(NamespaceOption), CultureInfo.InvariantCulture) is { Length: > 0 } n ? n : "1";
        string name = $"{Scheme}{host}:{port}/{nqn}?{NamespaceKey}={id}";
        foreach (string key in new[] { HostKey, SecretKey })
        {
            name += options.Take(key) is string value ? $"&{key}={Uri.EscapeDataString(value)}" : "";
        }

        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Driver}' doesn't support the option '{unknown}'")
            : name;
    }

    private static (NvmeTcpHostOptions Options, uint Namespace) Parse(string name)
    {
        string rest = name[Scheme.Length..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal), query = QueryOf(rest);
        string server = slash < 0 ? rest : rest[..slash];
        string nqn = slash < 0 ? "" : rest[(slash + 1)..(query > slash ? query : rest.Length)];
        uint id = 1;
        int colon = server.LastIndexOf(':');
        bool hasPort = colon > server.LastIndexOf(']');
        ushort port = DefaultPort;
        var asked = query > slash ? ParseQuery(rest[(query + 1)..]) : [];
        bool sound = nqn.Length > 0 && nqn.Length <= NvmeSubsystem.MaxNqn && server.Length > 0 && asked is not null
            && (!asked.TryGetValue(NamespaceKey, out string? number) || uint.TryParse(number, CultureInfo.InvariantCulture, out id))
            && (!hasPort || ushort.TryParse(server[(colon + 1)..], CultureInfo.InvariantCulture, out port));
        if (!sound)
        {
            throw new ToolException(
                $"'{name}' is not written {Scheme}HOST:PORT/NQN, with ?{NamespaceKey}=1&{HostKey}=NQN&{SecretKey}=PATH or some of it behind it");
        }

        var options = new NvmeTcpHostOptions { Host = (hasPort ? server[..colon] : server).Trim('[', ']'), Port = port, SubsystemNqn = nqn };
        if (asked!.TryGetValue(HostKey, out string? hostNqn))
        {
            options = options with { HostNqn = hostNqn };
        }

        return (options with
        {
            Keys = asked.TryGetValue(SecretKey, out string? file)
                ? DhChapSecrets.ForHost(file, options.HostNqn)
                : DhChapSecrets.FromEnvironment(Environment.GetEnvironmentVariable),
        }, id);
    }

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
            if (equals < 0 || !QueryKeys.Contains(part[..equals]) || !found.TryAdd(part[..equals], Uri.UnescapeDataString(part[(equals + 1)..])))
            {
                return null;
            }
        }

        return found;
    }

    /// <summary>A device where a node wants the bytes under it.</summary>
    private sealed class DeviceStorage(IBlockDevice device, string name) : IStorage
    {
        public string Name => name;

        public long Length => device.Length;

        public bool IsReadOnly => device.IsReadOnly;

        public int PreferredAlignment => device.Limits.RequestAlignment;

        public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
            => device.ReadAsync(offset, buffer, cancellationToken);

        public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
            => device.WriteAsync(offset, data, WriteFlags.None, cancellationToken);

        public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
            => device.WriteZeroesAsync(offset, length, flags, cancellationToken);

        public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
            => device.DiscardAsync(offset, length, cancellationToken);

        public ValueTask FlushAsync(CancellationToken cancellationToken = default) => device.FlushAsync(cancellationToken);

        public ValueTask SetLengthAsync(
            long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
            => length == Length ? default : throw new BlockException(BlockError.NotSupported, "a remote namespace cannot be resized");

        public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
            => device.GetStatusAsync(offset, length, cancellationToken);

        public ValueTask DisposeAsync() => device.DisposeAsync();
    }
}
