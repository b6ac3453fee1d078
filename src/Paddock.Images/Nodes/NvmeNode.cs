using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Nvme;
using Paddock.Nvme.Host;
using Paddock.Nvme.Wire;

namespace Paddock.Images.Nodes;

/// <summary>The driver nvme-tcp: a namespace of a remote subsystem as a node.</summary>
internal static class NvmeNode
{
    private const int MostListed = 256, MostNamed = 8;

    /// <summary>Connects where a name or options ask for this driver; null when they ask for another.</summary>
    public static async ValueTask<ImageNode?> TryOpenAsync(string? name, QDict options, string? driver, OpenSettings settings)
    {
        if (!NvmeName.Is(name) && driver != NvmeName.Driver)
        {
            return null;
        }

        if (NvmeName.Is(name) && driver is not (null or "raw" or NvmeName.Driver))
        {
            throw new ToolException($"'{driver}' driver cannot open '{name}'");
        }

        string path = name is null ? NvmeName.Of(options) : NvmeName.Is(name) ? name
            : throw new ToolException($"'{name}' is not a name of the driver '{driver}'");
        var device = await OpenAsync(NvmeName.Parse(path, isTyped: settings.Admit is null), settings.ReadOnly, settings.Stop);
        return new ImageNode
        {
            Driver = "raw", Filename = path, Protocol = NvmeName.Driver, Storage = new DeviceStorage(device, path), Device = device,
        };
    }

    /// <summary>Connects to the namespace that a name on the command line names.</summary>
    public static async ValueTask<IBlockDevice> OpenAsync(string name, bool readOnly, CancellationToken cancellationToken = default)
        => await OpenAsync(NvmeName.Parse(name, isTyped: true), readOnly, cancellationToken);

    /// <summary>Lists the namespaces of the subsystem that a name on the command line names.</summary>
    public static async ValueTask<IReadOnlyList<NvmeNamespaceInfo>> ListAsync(string name, CancellationToken cancellationToken)
    {
        await using var host = await ConnectAsync(NvmeName.Parse(name, isTyped: true).Options, cancellationToken);
        return await ListAsync(host, cancellationToken);
    }

    /// <summary>Lists the namespaces of a subsystem, <see cref="MostListed"/> at most.</summary>
    public static async ValueTask<IReadOnlyList<NvmeNamespaceInfo>> ListAsync(NvmeTcpHost host, CancellationToken cancellationToken)
    {
        var list = new List<NvmeNamespaceInfo>();
        foreach (uint id in (await host.ListAsync(cancellationToken)).Take(MostListed))
        {
            await using var device = await host.OpenAsync(id, ownsHost: false, cancellationToken);
            list.Add(new NvmeNamespaceInfo(id, device.Length, device.Limits.RequestAlignment, device.IsReadOnly, device.Zones?.Limits));
        }

        return list;
    }

    private static async ValueTask<IBlockDevice> OpenAsync(NvmeName name, bool readOnly, CancellationToken cancellationToken = default)
    {
        var (options, id) = name;
        var host = await ConnectAsync(options, cancellationToken);
        try
        {
            var device = await OpenAsync(host, options, id, cancellationToken);
            return device.IsReadOnly && !readOnly
                ? throw new ToolException($"namespace {id} of '{options.SubsystemNqn}' is write protected")
                : device;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    private static async ValueTask<IBlockDevice> OpenAsync(
        NvmeTcpHost host, NvmeTcpHostOptions options, uint id, CancellationToken cancellationToken)
    {
        try
        {
            return await host.OpenAsync(id, ownsHost: true, cancellationToken);
        }
        catch (BlockException)
        {
            var ids = await host.ListAsync(cancellationToken);
            if (ids.Contains(id))
            {
                throw;
            }

            string has = ids.Count == 0 ? "it has none" : $"it has {string.Join(", ", ids.Take(MostNamed))}";
            throw new ToolException($"subsystem '{options.SubsystemNqn}' has no namespace {id}: {has}");
        }
    }

    private static async ValueTask<NvmeTcpHost> ConnectAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await NvmeTcpHost.ConnectAsync(options, cancellationToken);
        }
        catch (ConnectRejectedException e) when (e.IsUnknownSubsystem)
        {
            throw new ToolException(e.Message + await OfferedAsync(options, cancellationToken), inner: e);
        }
        catch (ConnectRejectedException e) when (e.Status == NvmeStatus.ConnectInvalidHost)
        {
            throw new ToolException($"{e.Message}; name a host that it admits with ?hostnqn=NQN", inner: e);
        }
        catch (BlockException e) when (e.Error == BlockError.NotPermitted && options.Keys is null)
        {
            throw new ToolException($"{e.Message}: set {DhChapSecrets.HostVariable}, or write ?{NvmeName.SecretKey}=PATH behind the name, "
                + "on the command line (a name that stands in an image is given no key)");
        }
    }

    // what the server has instead; it may have no discovery service
    private static async ValueTask<string> OfferedAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        try
        {
            var offered = await DiscoveryClient.ListAsync(options, cancellationToken);
            string names = string.Join(", ", offered.Select(static s => s.Nqn).Distinct().Take(MostNamed));
            return names.Length == 0 ? "; it offers none to this host" : $"; it has {names}";
        }
        catch (BlockException)
        {
            return "";
        }
    }
}
