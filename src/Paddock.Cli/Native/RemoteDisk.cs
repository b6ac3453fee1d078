using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nbd;

namespace Paddock.Cli.Native;

/// <summary>Disks at servers, by <c>nvme+tcp://</c> and <c>nbd://</c> names.</summary>
internal static class RemoteDisk
{
    /// <summary>Whether a name denotes a disk at a server.</summary>
    public static bool Is(string name) => NvmeName.Is(name) || NbdTarget.IsName(name);

    /// <summary>Connects to a disk.</summary>
    /// <exception cref="ToolException">Malformed name, no server, or it has no such disk.</exception>
    public static async ValueTask<ImageNode> OpenAsync(
        string name, bool writable, NativeConsole console, CancellationToken cancellationToken)
    {
        CheckName(name);
        var settings = new OpenSettings { ReadOnly = !writable, Format = "raw", Stop = cancellationToken };
        return await new ImageOpener("paddock", console.Error).OpenAsync(name, settings);
    }

    /// <summary>Connects to a disk as its server describes it, for reading only.</summary>
    /// <exception cref="ToolException">As for a disk.</exception>
    public static async ValueTask<IBlockDevice> DescribeAsync(string name, CancellationToken cancellationToken)
    {
        CheckName(name);
        try
        {
            return NvmeName.Is(name) ? await NvmeNode.OpenAsync(name, readOnly: true, cancellationToken)
                : await NbdClient.ConnectAsync(NbdTarget.Parse(name)!, cancellationToken);
        }
        catch (BlockException e)
        {
            throw new ToolException($"Could not open '{name}': {e.Message}", inner: e);
        }
    }

    /// <summary>Connects to a disk with zones.</summary>
    /// <exception cref="ToolException">As for a disk; or it has no zones, and the message says which one has.</exception>
    public static async ValueTask<IBlockDevice> OpenZonedAsync(
        string name, bool writable, NativeConsole console, CancellationToken cancellationToken)
    {
        CheckName(name);
        if (!NvmeName.Is(name))
        {
            throw new ToolException(
                $"'{name}' has no zones: NBD does not carry them; use the nvme+tcp:// name if the server has one (paddock discover)");
        }

        var device = await NvmeNode.OpenAsync(name, readOnly: !writable, cancellationToken);
        if (device.Zones is not null)
        {
            return device;
        }

        await device.DisposeAsync();
        var zoned = (await NvmeNode.ListAsync(name, cancellationToken)).Where(static n => n.Zones is not null).ToList();
        throw new ToolException(
            zoned.Count == 0 ? $"'{name}' has no zones, and neither has another namespace of this subsystem"
                : $"'{name}' has no zones; namespace {zoned[0].Id} of this subsystem has: add ?ns={zoned[0].Id} to the name");
    }

    private static void CheckName(string name)
    {
        try
        {
            if (NvmeName.Is(name))
            {
                NvmeName.Parse(name, isTyped: true);
            }
            else
            {
                NbdTarget.Parse(name);
            }
        }
        catch (InvalidNameException e)
        {
            throw new ToolException(e.Message, NativeExit.Usage);
        }
        catch (FormatException e)
        {
            throw new ToolException(e.Message, NativeExit.Usage);
        }
        catch (IOException e)
        {
            throw new ToolException($"'{name}': {e.Message}");
        }
    }
}
