using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Rbd;

namespace Paddock.Sim.Ceph;

/// <summary>The image as the storage under a qcow2 image: behaves as Paddock.Rbd's does.</summary>
/// <param name="client">The client; it has the lock.</param>
/// <param name="lease">Its lease; owned.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class ClusterStorage(ClusterClient client, RbdLease lease, Random random)
    : IStorage, ILeasedStorage, IThinStorage, IDurableStorage
{
    private const int GrowthObjects = 16;

    private readonly FlushFailure _failure = new("rbd");
    private readonly ClusterImage _image = new(client, random);
    private readonly AsyncMutex _growth = new();
    private bool _isClosed;

    /// <inheritdoc/>
    public string Name => "rbd";

    /// <inheritdoc/>
    public long Length { get; private set; } = client.Cluster.Content.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public long AllocatedBytes => -1;

    /// <inheritdoc/>
    public int PreferredAlignment => 1;

    /// <inheritdoc/>
    public bool IsThin => true;

    /// <inheritdoc/>
    public long DurableBlock => client.Cluster.ObjectSize;

    /// <inheritdoc/>
    public bool IsSettled => _image.IsSettled;

    /// <inheritdoc/>
    public Task Lost => client.Loss.Lost;

    /// <inheritdoc/>
    public string? LossReason => client.Loss.Reason;

    /// <inheritdoc/>
    public bool IsConfirmed => lease.IsConfirmed;

    /// <inheritdoc/>
    public ValueTask ConfirmAsync() => lease.ConfirmAsync();

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        client.Loss.ThrowIfLost();
        int inside = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        if (inside > 0)
        {
            await _image.ReadAsync(offset, buffer[..inside]);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        await GrowAsync(offset + data.Length);
        await _image.ChangeAsync(PartKind.Write, offset, data.Length, data);
    }

    /// <inheritdoc/>
    public async ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        await _image.WriteThroughAsync(offset, data);
    }

    /// <inheritdoc/>
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        await GrowAsync(offset + length);
        await _image.ChangeAsync(PartKind.Zero, offset, length, default);
    }

    /// <inheritdoc/>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        return _image.ChangeAsync(PartKind.Discard, offset, Math.Clamp(Length - offset, 0, length), default);
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        try
        {
            await _image.FlushAsync();
        }
        catch (BlockException e)
        {
            throw _failure.Record(e);
        }
    }

    /// <inheritdoc/>
    public void ThrowIfFlushFailed() => _failure.ThrowIfFailed();

    /// <inheritdoc/>
    public async ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        if (grows)
        {
            await GrowAsync(offset + length);
        }

        return true;
    }

    /// <inheritdoc/>
    public async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        ThrowIfFailed();
        await _growth.AcquireUntilAsync(cancellationToken);
        try
        {
            if (length < Length)
            {
                await _image.FlushAsync();
            }

            await ResizeAsync(length);
        }
        finally
        {
            _growth.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        client.Loss.ThrowIfLost();
        await _image.FlushAsync();
        var content = client.Cluster.Content;
        return await await client.CallAsync(
            SimCluster.HeaderOsd, () => content.GetStatusAsync(offset, length, cancellationToken).AsTask());
    }

    /// <inheritdoc/>
    public ValueTask OnEventAsync(string eventName) => default;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // the image disposes it as well
        if (_isClosed)
        {
            return;
        }

        _isClosed = true;
        await lease.DisposeAsync();
        if (client.Loss.Reason is null)
        {
            await client.CallAsync(SimCluster.HeaderOsd, () => client.Cluster.Unlock(client.Id));
        }
    }

    private async ValueTask GrowAsync(long end)
    {
        if (end <= Length)
        {
            return;
        }

        await _growth.AcquireAsync();
        try
        {
            if (end > Length)
            {
                long step = client.Cluster.ObjectSize * GrowthObjects;
                await ResizeAsync((end + step - 1) / step * step);
            }
        }
        finally
        {
            _growth.Release();
        }
    }

    private async Task ResizeAsync(long length)
    {
        await client.CallAsync(SimCluster.HeaderOsd, () =>
        {
            client.Cluster.Content.SetLength(length);
            return true;
        });
        Length = length;
    }

    private void ThrowIfFailed()
    {
        client.Loss.ThrowIfLost();
        _failure.ThrowIfFailed();
    }

}
