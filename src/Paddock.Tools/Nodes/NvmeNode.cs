using System.Globalization;
using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Tools;

/// <summary>The driver nvme-tcp: a namespace of a remote subsystem as a node, as <c>nvme+tcp://HOST:PORT/NQN?ns=1</c> or by options.</summary>
internal static class NvmeNode
{
    /// <summary>Its name.</summary>
    public const string Driver = "nvme-tcp";

    private const string Scheme = "nvme+tcp://";
    private const int DefaultPort = 4420;

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
        var host = await NvmeTcpHost.ConnectAsync(options with { ReconnectTime = reconnect }, cancellationToken);
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

    private static string NameOf(QDict options)
    {
        string host = options.Take("host") as string ?? throw new ToolException("A host must be specified for 'nvme-tcp'");
        string nqn = options.Take("nqn") as string ?? throw new ToolException("A subsystem (nqn) must be specified for 'nvme-tcp'");
        string port = Convert.ToString(options.Take("port"), CultureInfo.InvariantCulture) is { Length: > 0 } p ? p : "4420";
        string id = Convert.ToString(options.Take("namespace"), CultureInfo.InvariantCulture) is { Length: > 0 } n ? n : "1";
        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Driver}' doesn't support the option '{unknown}'")
            : $"{Scheme}{host}:{port}/{nqn}?ns={id}";
    }

    private static (NvmeTcpHostOptions Options, uint Namespace) Parse(string name)
    {
        string rest = name[Scheme.Length..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal), query = rest.LastIndexOf("?ns=", StringComparison.Ordinal);
        string server = slash < 0 ? rest : rest[..slash];
        string nqn = slash < 0 ? "" : rest[(slash + 1)..(query > slash ? query : rest.Length)];
        uint id = 1;
        int colon = server.LastIndexOf(':');
        bool hasPort = colon > server.LastIndexOf(']');
        ushort port = DefaultPort;
        bool sound = nqn.Length > 0 && nqn.Length <= NvmeSubsystem.MaxNqn && server.Length > 0
            && (query < slash || uint.TryParse(rest[(query + 4)..], CultureInfo.InvariantCulture, out id))
            && (!hasPort || ushort.TryParse(server[(colon + 1)..], CultureInfo.InvariantCulture, out port));
        return !sound
            ? throw new ToolException($"'{name}' is not written {Scheme}HOST:PORT/NQN or {Scheme}HOST:PORT/NQN?ns=1")
            : (new NvmeTcpHostOptions { Host = (hasPort ? server[..colon] : server).Trim('[', ']'), Port = port, SubsystemNqn = nqn }, id);
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
