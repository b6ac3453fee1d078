using System.Text;
using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Rbd;

namespace Paddock.Images.Nodes;

/// <summary>The driver rbd: an image in a Ceph cluster.</summary>
internal sealed class RbdDriver() : NodeDriver(DriverName, NodeKind.Protocol)
{
    /// <summary>Its name.</summary>
    public const string DriverName = "rbd";

    // what a name holds beside the fields of QEMU's option list; no option list has a key like this
    private const string ExtraKey = "=keyvalue-pairs";

    private static readonly string[] Strong = ["pool", "namespace", "image", "conf", "snapshot", "user", "server.", "key-secret"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> StrongOptions => Strong;

    /// <summary>Reads a name.</summary>
    /// <exception cref="ToolException">It is malformed.</exception>
    public static RbdTarget Parse(string name)
    {
        try
        {
            return RbdTarget.Parse(name);
        }
        catch (FormatException e)
        {
            throw new ToolException(e.Message);
        }
    }

    /// <summary>Opens an image as bytes.</summary>
    /// <param name="target">Which.</param>
    /// <param name="readOnly">Whether it is not written; else its exclusive lock is acquired.</param>
    /// <param name="cache">Cache mode by name; null: librbd may keep written data until the next flush.</param>
    /// <exception cref="BlockException">It cannot be opened.</exception>
    public static async ValueTask<IStorage> OpenAsync(RbdTarget target, bool readOnly, string? cache = null)
    {
        IStorage storage = new RbdStorage(await RbdImage.OpenAsync(target, readOnly, caches: !ImageOpener.IsDirect(cache)));
        return ImageOpener.IsUnsafe(cache) ? new WindowStorage(storage, flushes: false) : storage;
    }

    /// <inheritdoc/>
    public override void ParseName(string filename, QDict options)
    {
        var target = Parse(filename);
        options["pool"] = target.Pool;
        options["namespace"] = target.Namespace;
        options["image"] = target.Image;
        Add("snapshot", target.Snapshot);
        Add("conf", target.ConfigurationFile);
        Add("user", target.User);
        if (target.Options.Count > 0)
        {
            options[ExtraKey] = new List<object?>(target.Options.Select(static o => (object?)o));
        }

        void Add(string key, string? value)
        {
            if (value is not null)
            {
                options[key] = value;
            }
        }
    }

    /// <inheritdoc/>
    public override async ValueTask<ImageNode> OpenAsync(NodeOpening opening)
    {
        var settings = opening.Settings;
        var target = Target(opening);
        NodeOpener.RefuseUnknown(this, opening.Options);
        if (target.Snapshot is not null && !settings.ReadOnly)
        {
            throw new ToolException("rbd snapshots are read-only");
        }

        settings.Chain?.Enter(target);
        var shared = target with { SharesConnection = settings.SharesConnections };
        var storage = settings is { SharesConnections: true, ReadOnly: true } && target.Key is null
            ? await SharedReader.OpenAsync(shared, () => OpenAsync(shared, readOnly: true))
            : await OpenAsync(shared, settings.ReadOnly, settings.Cache);
        return new ImageNode { Driver = Name, Storage = storage, ObjectSize = ObjectSizeOf(storage) };
    }

    /// <inheritdoc/>
    public override string? PlainName(ImageNode node, bool isChanged) => null;

    /// <summary>Reads the options of a node.</summary>
    private static RbdTarget Target(NodeOpening opening)
    {
        var options = opening.Options;
        if (options.Take("filename") is string filename)
        {
            new RbdDriver().ParseName(filename, options);
        }

        // anything but the name may lead to a file or a host of somebody else's choice
        bool isStored = opening.Settings.Admit is not null || opening.Settings.AreOptionsStored;
        var target = new RbdTarget
        {
            Pool = Text(options, "pool") ?? throw new ToolException("Parameter 'pool' is missing"),
            Image = Text(options, "image") ?? throw new ToolException("Parameter 'image' is missing"),
            Namespace = Text(options, "namespace") ?? "",
            Snapshot = Text(options, "snapshot"),
            ConfigurationFile = Text(options, "conf"),
            User = Text(options, "user"),
            Monitors = Monitors(options),
            Key = options.Take("key-secret") is string id ? Key(opening.Settings, id) : null,
        };
        string? authentication = Authentication(options);
        var extra = (options.Take(ExtraKey) as List<object?>)?.Cast<KeyValuePair<string, string>>() ?? [];
        try
        {
            target = target.With(authentication is null ? extra : extra.Append(KeyValuePair.Create("auth_client_required", authentication)))
                .Checked();
        }
        catch (FormatException e)
        {
            throw new ToolException(e.Message);
        }

        if (isStored && (target.Options.Count > 0 || target.Monitors is not null || target.Key is not null))
        {
            throw new ToolException(
                $"'{target.Spec}': an image must not name options of Ceph; set CEPH_CONF, or open the chain with options that name it");
        }

        return target.ConfigurationFile is not { } file || opening.Settings.Chain?.AdmitConfiguration(file, isStored) != false
            || file == Environment.GetEnvironmentVariable(RbdConnection.FileVariable) ? target
            : throw new ToolException(
                $"'{target.Spec}': an image must not name a configuration file ({file}) that the user has not named; set CEPH_CONF to it");
    }

    private static int ObjectSizeOf(IStorage storage) => storage switch
    {
        RbdStorage rbd => (int)rbd.Image.ObjectSize,
        DelegatingStorage { Inner: RbdStorage rbd } => (int)rbd.Image.ObjectSize,
        _ => 0,
    };

    private static string? Text(QDict options, string key) => NodeOptions.Text(options.Take(key));

    private static string Key(OpenSettings settings, string id)
        => Encoding.UTF8.GetString(SecretObjects.Passphrase(settings.Objects, id)).Trim();

    private static string? Monitors(QDict options)
    {
        var hosts = new List<string>();
        while (Text(options, $"server.{hosts.Count}.host") is { } host)
        {
            string port = Text(options, $"server.{hosts.Count}.port")
                ?? throw new ToolException($"Parameter 'server.{hosts.Count}.port' is missing");
            hosts.Add(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]:{port}" : $"{host}:{port}");
        }

        return hosts.Count == 0 ? null : string.Join(",", hosts);
    }

    private static string? Authentication(QDict options)
    {
        var modes = new List<string>();
        while (Text(options, $"auth-client-required.{modes.Count}") is { } mode)
        {
            modes.Add(mode is "cephx" or "none" ? mode
                : throw new ToolException($"Parameter 'auth-client-required' does not accept '{mode}'"));
        }

        return modes.Count == 0 ? null : string.Join(";", modes);
    }
}
