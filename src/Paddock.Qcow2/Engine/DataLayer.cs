using System.Runtime.CompilerServices;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Where guest data lie: in the image's own file, between its tables, encrypted or not. Nothing else of the engine reads or writes guest
/// data.
/// </summary>
/// <param name="storage">The file.</param>
/// <param name="guard">Refuses data where metadata lie.</param>
/// <param name="cipher">Encrypts the data; null: they are stored as they are.</param>
internal sealed class DataLayer(IStorage storage, MetadataGuard guard, DataCipher? cipher)
{
    /// <summary>Whether zeroes have to be written as any other data: a hole does not decrypt to zeroes.</summary>
    public bool IsEncrypted => cipher is not null;

    /// <summary>Reads data.</summary>
    public ValueTask ReadAsync(HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var told = storage.OnEventAsync("read_aio");
        return !told.IsCompletedSuccessfully ? ReadAsync(told, host, guest, buffer, cancellationToken)
            : cipher is null ? storage.ReadAsync(host.Value, buffer, cancellationToken)
            : cipher.ReadAsync(storage, host, guest, buffer, cancellationToken);
    }

    /// <summary>Writes data, which must not hit metadata.</summary>
    public async ValueTask WriteAsync(HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await guard.CheckAsync(host, data.Length);
        await storage.OnEventAsync("write_aio");
        await (cipher is null ? storage.WriteAsync(host.Value, data, cancellationToken)
            : cipher.WriteAsync(storage, host, guest, data, cancellationToken));
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
    private async ValueTask ReadAsync(
        ValueTask told, HostOffset host, GuestOffset guest, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await told;
        await (cipher is null ? storage.ReadAsync(host.Value, buffer, cancellationToken)
            : cipher.ReadAsync(storage, host, guest, buffer, cancellationToken));
    }
}
