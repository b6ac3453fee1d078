using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Server.Listeners;
using Paddock.Server.Namespaces;
using Paddock.Server.Standby;
using Paddock.Server.Tracing;

namespace Paddock.Server;

/// <summary>Validates the settings before anything is opened.</summary>
public static class ServeCheck
{
    private const int MostConnections = 65536, MostDrainSeconds = 600, MostIdleSeconds = 7 * 24 * 3600;

    // two standard buffers per connection, and room for the longest requests
    private const long LeastMemory = 16L << 20;

    /// <summary>Prints what would be served; opens nothing.</summary>
    /// <exception cref="ToolException">Invalid settings; the message names the key.</exception>
    public static void Run(ServeSettings settings, TextWriter output)
    {
        Validate(settings, ServiceManager.None);
        NbdListener.CredentialsOf(settings)?.Dispose();
        foreach (var image in settings.Images)
        {
            if (!image.Path.Contains(':', StringComparison.Ordinal) && !FileNames.Exists(image.Path))
            {
                throw new ToolException($"images: '{image.Path}' not found");
            }

            output.WriteLine(
                $"image {image.Path}: {image.Format ?? "format probed"}{(image.ReadOnly ? ", read-only" : "")}"
                + $"{(image.WriteThrough || settings.WriteThrough ? ", write-through" : "")}, "
                + $"export {image.Export ?? PaddockServer.StemOf(image.Path)}{(image.Nqn is { } nqn ? $", in {nqn}" : "")}");
        }

        string tls = settings.NbdTlsCreds is null ? "" : $", TLS {settings.NbdTls}, client certificates {settings.NbdTlsClients}";
        string sizes = settings.NbdResize ? ", resizable by clients" : "";
        string hosts = settings.AllowHosts.Count == 0 ? ", all hosts" : $", {settings.AllowHosts.Count} hosts";
        foreach (var (listener, where) in new[]
        {
            ("nvme", settings.Nvme is { } nvme ? nvme + hosts : null), ("nbd", settings.Nbd is { } nbd ? nbd + tls + sizes : null),
            ("vhost-user", settings.VhostUser), ("vfio-user", VfioOf(settings)),
            ("web", settings.Web is { } web ? web + (settings.WebControl ? ", may change zones" : "") : null),
            ("namespaces", settings.NamespaceDir is { } folder ? $"{folder}, quota {settings.NamespaceQuota}" : null),
            ("metrics", settings.Metrics), ("trace", settings.TraceFile), ("control", settings.Control),
        })
        {
            if (where is not null)
            {
                output.WriteLine($"{listener} {where}");
            }
        }

        if (settings.Standby)
        {
            output.WriteLine($"standby: images are taken over and handed over{(settings.Node > 0 ? $", node {settings.Node}" : "")}");
        }

        output.WriteLine($"backing files: {settings.Backing}");
        int idle = settings.IdleTimeout ?? ServeSettings.DefaultIdleSeconds;
        output.WriteLine(
            $"limits: {settings.MaxConnections} connections per listener, {settings.MaxMemory} of memory, "
            + $"{(idle == 0 ? "no idle timeout" : $"idle timeout {idle} s")}, drain timeout {settings.DrainTimeout} s");
    }

    /// <summary>The memory limit, in bytes.</summary>
    /// <exception cref="ToolException">Not a size, or too small.</exception>
    internal static long MemoryOf(ServeSettings settings)
        => SizeText.Parse("max-memory", settings.MaxMemory) is >= LeastMemory and var size ? size
            : throw new ToolException($"max-memory '{settings.MaxMemory}': the minimum is {LeastMemory >> 20}M", NativeExit.Usage);

    /// <summary>Checks the settings against each other and against their limits.</summary>
    /// <exception cref="ToolException">
    /// They contradict each other, or exceed a limit: exit code 64, as of any wrong command line; the message names the key.
    /// </exception>
    internal static void Validate(ServeSettings settings, ServiceManager manager)
    {
        try
        {
            ValidateAll(settings, manager);
        }
        catch (ToolException e) when (e.ExitCode != NativeExit.Usage)
        {
            throw new ToolException(e.Message, NativeExit.Usage, e);
        }
    }

    private static void ValidateAll(ServeSettings settings, ServiceManager manager)
    {
        if (settings is { Nvme: null, Nbd: null, VhostUser: null, VfioUser.Count: 0 } && settings.Images.All(i => i.VhostUser is null)
            && !manager.Has("nvme") && !manager.Has("nbd") && !manager.Has("vhost-user") && !manager.Has("vfio-user"))
        {
            throw new ToolException("no listener configured: specify --nvme, --nbd, --vhost-user or --vfio-user", NativeExit.Usage);
        }

        if (settings.NamespaceDir is not null && settings.Nvme is null && settings.VfioUser.Count == 0
            && !manager.Has("nvme") && !manager.Has("vfio-user"))
        {
            throw new ToolException("namespace-dir requires an NVMe listener: specify --nvme or --vfio-user", NativeExit.Usage);
        }

        bool needsImage = settings.NamespaceDir is null || settings.Nbd is not null || settings.VhostUser is not null;
        if (settings.Images.Count == 0 && needsImage)
        {
            throw new ToolException("no image configured: specify at least one image", NativeExit.Usage);
        }

        StandbyCheck.Validate(settings, manager);
        Values(settings, "--");
    }

    /// <summary>Checks each value against its limits.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="dashes">What precedes the names of addresses in messages.</param>
    /// <exception cref="ToolException">A value is invalid; the message begins with its name.</exception>
    internal static void Values(ServeSettings settings, string dashes)
    {
        Within("max-connections", settings.MaxConnections, 1, MostConnections);
        Within("idle-timeout", settings.IdleTimeout ?? 0, 0, MostIdleSeconds);
        Within("drain-timeout", settings.DrainTimeout, 0, MostDrainSeconds);
        if (settings.Node != 0)
        {
            Within("node", settings.Node, 1, StandbyCheck.MostNodes);
        }

        NamespaceSettings.Of(settings);
        VfioUserSockets.Check(settings, dashes);
        OneOf("block-size", settings.BlockSize.ToString(System.Globalization.CultureInfo.InvariantCulture), "512", "4096");
        OneOf("nbd-tls", settings.NbdTls, "required", "allowed");
        OneOf("nbd-tls-clients", settings.NbdTlsClients, "required", "none");
        ServeLog.ParseLevel(settings.LogLevel ?? "info");
        ImageChain.ParsePolicy(settings.Backing);
        MemoryOf(settings);
        TraceFile.SizeOf(settings);
        foreach (var (key, where) in new[]
        {
            ("nvme", settings.Nvme), ("nbd", settings.Nbd), ("metrics", settings.Metrics), ("web", settings.Web),
        })
        {
            bool allowUnix = key != "nvme";
            if (where is not null && !(allowUnix && ListenAddress.SocketOf(where) is not null))
            {
                ListenAddress.Parse(where, dashes + key, allowUnix);
            }
        }
    }

    private static string? VfioOf(ServeSettings settings)
        => settings.VfioUser.Count == 0 ? null
            : $"{string.Join(", ", settings.VfioUser)}: {settings.VfioUserQueues} I/O queues, {settings.VfioUserDoorbells} doorbells, "
            + settings.VfioUserInterrupts;

    internal static void Within(string key, int value, int least, int most)
    {
        if (value < least || value > most)
        {
            throw new ToolException($"{key} {value}: expected {least} to {most}", NativeExit.Usage);
        }
    }

    internal static void OneOf(string key, string value, string first, string second)
    {
        if (value != first && value != second)
        {
            throw new ToolException($"{key} '{value}': expected {first} or {second}", NativeExit.Usage);
        }
    }
}
