using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Nvme;

namespace Paddock.Images.Nodes;

/// <summary>The driver nvme-tcp: a namespace of a remote subsystem as a node.</summary>
internal static class NvmeNode
{
    private const int MostListed = 256;

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
            var device = await host.OpenAsync(id, ownsHost: true, cancellationToken);
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

    private static async ValueTask<NvmeTcpHost> ConnectAsync(NvmeTcpHostOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return await NvmeTcpHost.ConnectAsync(options, cancellationToken);
        }
        catch (BlockException e) when (e.Error == BlockError.NotPermitted && options.Keys is null)
        {
            throw new ToolException($"{e.Message}: set {DhChapSecrets.HostVariable}, or write ?{NvmeName.SecretKey}=PATH behind the name, "
                + "on the command line (a name that stands in an image is given no key)");
        }
    }
}
