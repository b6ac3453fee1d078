using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Tools;

/// <summary>The driver nvme-tcp: a namespace of a remote subsystem as a node.</summary>
public static class NvmeNode
{
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

        string path = name is null ? NvmeName.Of(options) : NvmeName.Is(name) ? name : throw new ToolException($"'{name}' is not a name of the driver '{driver}'");
        var remote = await OpenAsync(NvmeName.Parse(path, isTyped: settings.Admit is null), settings.ReadOnly);
        var device = CheckedBlockDevice.Wrap(remote);
        var storage = new DeviceStorage(device, remote as IFlushState, path);
        return new ImageNode { Driver = "raw", Filename = path, Protocol = NvmeName.Driver, Storage = storage, Device = device };
    }

    /// <summary>Connects to the namespace that a name on the command line names.</summary>
    public static async ValueTask<IBlockDevice> OpenAsync(string name, bool readOnly, CancellationToken cancellationToken = default)
        => CheckedBlockDevice.Wrap(await OpenAsync(NvmeName.Parse(name, isTyped: true), readOnly, cancellationToken));

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

    /// <summary>A namespace where a node wants the bytes under it.</summary>
    private sealed class DeviceStorage(IBlockDevice device, IFlushState? flushes, string name) : IStorage
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

        public void ThrowIfFlushFailed() => flushes?.ThrowIfFlushFailed();

        public ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
            => ValueTask.FromResult(false);

        public ValueTask FlushAsync(CancellationToken cancellationToken = default) => device.FlushAsync(cancellationToken);

        public ValueTask SetLengthAsync(
            long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
            => length == Length ? default : throw new BlockException(BlockError.NotSupported, "a remote namespace cannot be resized");

        public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
            => device.GetStatusAsync(offset, length, cancellationToken);

        public ValueTask DisposeAsync() => device.DisposeAsync();
    }
}
