using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where guest data lie: in the image's own file, between its tables. An external data file or encryption would take their place
/// here; nothing else of the engine reads or writes guest data.
/// </summary>
internal sealed class DataLayer(IStorage storage, MetadataGuard guard)
{
    /// <summary>Reads data.</summary>
    public ValueTask ReadAsync(HostOffset host, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var told = storage.OnEventAsync("read_aio");
        return told.IsCompletedSuccessfully
            ? storage.ReadAsync(host.Value, buffer, cancellationToken)
            : ReadAsync(told, host, buffer, cancellationToken);
    }

    /// <summary>Writes data, which must not hit metadata.</summary>
    public async ValueTask WriteAsync(HostOffset host, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await guard.CheckAsync(host, data.Length);
        await storage.OnEventAsync("write_aio");
        await storage.WriteAsync(host.Value, data, cancellationToken);
    }

    /// <summary>
    /// Makes a range of data read as zeroes; with <see cref="ZeroFlags.MayUnmap"/> by a hole where the storage can make one.
    /// </summary>
    public async ValueTask ZeroAsync(HostOffset host, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        await guard.CheckAsync(host, length);
        await storage.WriteZeroesAsync(host.Value, length, flags, cancellationToken);
    }

    /// <summary>Takes space for data that are written later. What the range reads as does not matter.</summary>
    public async ValueTask ReserveAsync(HostOffset host, long length)
    {
        await guard.CheckAsync(host, length);
        if (!await storage.ReserveAsync(host.Value, length, grows: true))
        {
            await storage.WriteZeroesAsync(host.Value, length, ZeroFlags.None);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private async ValueTask ReadAsync(ValueTask told, HostOffset host, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await told;
        await storage.ReadAsync(host.Value, buffer, cancellationToken);
    }
}
