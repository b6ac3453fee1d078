using System.Globalization;
using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Nbd;

namespace Paddock.Images.Nodes;

/// <summary>The driver nbd: an export of a server as a node, by name or by options.</summary>
internal static class NbdNode
{
    /// <summary>Its name.</summary>
    public const string Driver = "nbd";

    /// <summary>Connects where a name or options say that the bytes are at a server.</summary>
    /// <returns>Null when they say something else.</returns>
    public static async ValueTask<(string Path, IStorage Storage)?> TryOpenAsync(
        string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (Find(name, options, driver, settings) is not { } target)
        {
            return null;
        }

        var client = await NbdClient.ConnectAsync(target, settings.Stop);
        if (client.IsReadOnly && !settings.ReadOnly)
        {
            await client.DisposeAsync();
            throw new ToolException("request on write denied without write permission");
        }

        if (target.StatusContext is not null && !client.HasStatus)
        {
            await client.DisposeAsync();
            throw new ToolException("Could not open image: Invalid argument");
        }

        return (target.ToString(), new NbdStorage(new NbdDisk(client)));
    }

    private static NbdTarget? Find(string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (name is not null)
        {
            return Parse(name, settings) is not { } named ? null
                : driver is null or "raw" or "qcow2" or Driver ? named : throw new ToolException($"'{driver}' driver cannot open '{name}'");
        }

        if (driver == Driver)
        {
            return FromOptions(options, settings);
        }

        return options["file.driver"] as string == Driver ? FromOptions(options.TakePrefix("file"), settings)
            : !options.Contains("file.driver") && options["file.filename"] is string file && Parse(file, settings) is { } target
                ? WithRest(target, options.TakePrefix("file"), settings) : null;
    }

    private static NbdTarget? Parse(string name, OpenSettings settings)
    {
        // whoever wrote an image must not choose who is shown a certificate of the user's
        if (settings.Admit is not null && name.Contains(NbdTarget.CertificatesKey + "=", StringComparison.Ordinal)
            && NbdTarget.IsName(name))
        {
            throw new ToolException(
                $"'{name}': a name that stands in an image must not name a folder of certificates ({NbdTarget.CertificatesKey})");
        }

        try
        {
            return NbdTarget.Parse(name);
        }
        catch (FormatException e)
        {
            throw new ToolException(e.Message);
        }
        catch (IOException e)
        {
            throw new ToolException($"Unable to access credentials: {e.Message}");
        }
    }

    private static NbdTarget WithRest(NbdTarget target, QDict options, OpenSettings settings)
    {
        options.Take("filename");
        return Rest(target, options, settings);
    }

    private static NbdTarget FromOptions(QDict options, OpenSettings settings)
    {
        options.Take("driver");
        string? path = options.Take("server.path") as string ?? options.Take("path") as string;
        string? host = options.Take("server.host") as string ?? options.Take("host") as string;
        string? port = Text(options.Take("server.port") ?? options.Take("port"));
        string? type = options.Take("server.type") as string;
        if (path is null && host is null)
        {
            throw new ToolException("NBD server address missing");
        }

        if ((path is not null && host is not null) || (type is not null && type != (path is null ? "inet" : "unix")))
        {
            throw new ToolException("an NBD server is at a path (type unix) or at a host and port (type inet)");
        }

        int number = NbdTarget.DefaultPort;
        if (port is not null
            && (!int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out number) || number is < 1 or > 65535))
        {
            throw new ToolException($"'{port}' is no port");
        }

        var target = new NbdTarget
        {
            SocketPath = path,
            Host = host ?? "localhost",
            Port = number,
            ExportName = options.Take("export") as string ?? "",
        };
        return Rest(target, options, settings);
    }

    private static NbdTarget Rest(NbdTarget target, QDict options, OpenSettings settings)
    {
        if (options.Take("tls-creds") is string id)
        {
            target = target with { Tls = TlsObjects.Load(settings.Objects, id, isServer: false) };
        }

        target = target with
        {
            TlsHostname = options.Take("tls-hostname") as string,
            ReconnectDelay = Seconds(options.Take("reconnect-delay")),
            OpenTimeout = Seconds(options.Take("open-timeout")),
            StatusContext = Text(options.Take("x-dirty-bitmap")),
        };
        return options.InOrder.FirstOrDefault().Key is { } unknown
            ? throw new ToolException($"Block protocol '{Driver}' doesn't support the option '{unknown}'") : target;
    }

    private static string? Text(object? value)
        => Convert.ToString(value, CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : null;

    private static TimeSpan Seconds(object? value)
        => Text(value) is not { } text ? TimeSpan.Zero
            : uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds)
                ? TimeSpan.FromSeconds(seconds) : throw new ToolException($"'{text}' is no number of seconds");
}
