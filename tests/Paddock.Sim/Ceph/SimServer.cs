using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>Ends of a request.</summary>
internal enum Outcome
{
    /// <summary>It succeeded.</summary>
    Done,

    /// <summary>A rule of the disk forbids it; nothing has changed.</summary>
    Refused,

    /// <summary>The server does not serve the disk: the request has not reached it.</summary>
    NotServed,

    /// <summary>The server lost the disk meanwhile: the request may have changed it or not.</summary>
    Lost,
}

/// <summary>A disk while a server owns it.</summary>
/// <param name="Device">The disk.</param>
/// <param name="Client">The client that has its lock.</param>
/// <param name="Lease">Whether it is still owned.</param>
internal sealed record OwnedDisk(IBlockDevice Device, ClusterClient Client, OwnerLease Lease)
{
    /// <summary>Requests that the device has not ended.</summary>
    public int InFlight { get; set; }

    /// <summary>Whether new requests are rejected.</summary>
    public bool IsClosing { get; set; }

    /// <summary>Completes when it is closing and no request is in flight.</summary>
    public TaskCompletionSource Drained { get; } = new();
}

/// <summary>A server of one disk: on standby until the disk is free, then its owner until it hands it over or loses it.</summary>
/// <param name="world">What it belongs to.</param>
/// <param name="process">Its process.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class SimServer(IHandoverWorld world, SimProcess process, Random random)
{
    private OwnedDisk? _disk;
    private TaskCompletionSource _request = new();

    /// <summary>Its process.</summary>
    public SimProcess Process => process;

    /// <summary>Network to the cluster.</summary>
    public SimLink Storage { get; } = new(process.Time, random);

    /// <summary>Network to clients.</summary>
    public SimLink Clients { get; } = new(process.Time, random);

    private HandoverFlaw Flaw => world.Flaw;

    /// <summary>Requests a planned hand-over.</summary>
    public void HandOver() => _request.TrySetResult();

    /// <summary>A client sends a request and receives its outcome.</summary>
    /// <param name="generation">The owner for which it is meant.</param>
    /// <param name="request">What is done to the disk.</param>
    /// <param name="from">The client.</param>
    /// <param name="reply">What the client does with the outcome.</param>
    public void Submit(int generation, Func<IBlockDevice, Task> request, SimProcess from, Action<Outcome> reply)
        => Clients.Send(process, () => world.Watch(HandleAsync(generation, request, from, reply)));

    /// <summary>Serves until the process ends.</summary>
    public async Task RunAsync()
    {
        while (!world.IsEnding)
        {
            var client = new ClusterClient(world.Cluster, process, Storage, random);
            try
            {
                if (await AcquireAsync(client) is { } lease)
                {
                    await ServeAsync(client, lease);
                }
            }
            catch (BlockException) when (client.LossReason is not null)
            {
                // on standby again
            }

            _disk = null;
            _request = new TaskCompletionSource();
            await process.DelayAsync(random.NextInt64(2 * VirtualTime.Second));
        }
    }

    private async Task<OwnerLease?> AcquireAsync(ClusterClient client)
    {
        var cluster = world.Cluster;
        await OwnerTurn.WaitAsync(client, Flaw);
        if (world.IsEnding)
        {
            return null;
        }

        long asked = process.Time.Now;
        client.Generation = await client.CallAsync(cluster.HeaderOsd, () => cluster.TryLock(client.Id));
        return client.Generation == 0 ? null : new OwnerLease(client, asked);
    }

    private async Task ServeAsync(ClusterClient client, OwnerLease lease)
    {
        var released = new TaskCompletionSource();
        world.Watch(lease.KeepAsync(released.Task));
        await world.CheckImageAsync(client.Generation);
        var storage = new ClusterStorage(client, random);
        var disk = new OwnedDisk(await world.OpenAsync(storage), client, lease);
        _disk = disk;
        world.Serves(this, client.Generation);
        await Task.WhenAny(client.Lost, _request.Task);
        disk.IsClosing = true;
        if (disk.InFlight > 0)
        {
            await Task.WhenAny(client.Lost, disk.Drained.Task);
        }

        if (client.LossReason is not null)
        {
            // nothing that closing attempts may reach the cluster
            world.Watch(AbandonAsync(disk, storage));
            throw client.Failure();
        }

        var flush = world.Closing(client.Generation);
        if (Flaw != HandoverFlaw.NoFlush)
        {
            await disk.Device.DisposeAsync();
        }

        world.HasClosed(client.Generation, flush);
        released.SetResult();
        await client.CallAsync(world.Cluster.HeaderOsd, () =>
        {
            world.Cluster.Unlock(client.Id);
            return true;
        });
        await storage.DisposeAsync();
    }

    private static async Task AbandonAsync(OwnedDisk disk, ClusterStorage storage)
    {
        try
        {
            await disk.Device.DisposeAsync();
        }
        catch (BlockException)
        {
            // what was not flushed is lost
        }

        await storage.DisposeAsync();
    }

    private async Task HandleAsync(int generation, Func<IBlockDevice, Task> request, SimProcess from, Action<Outcome> reply)
    {
        var outcome = await DoAsync(generation, request);
        SimFailure.Unless(
            outcome is Outcome.NotServed or Outcome.Lost || world.Cluster.Generation == generation,
            $"owner {generation} answers a request while the owner is {world.Cluster.Generation}");
        Clients.Send(from, () => reply(outcome));
    }

    private async Task<Outcome> DoAsync(int generation, Func<IBlockDevice, Task> request)
    {
        if (_disk is not { IsClosing: false } disk || disk.Client.Generation != generation)
        {
            return Outcome.NotServed;
        }

        disk.InFlight++;
        try
        {
            await ConfirmAsync(disk);
            await request(disk.Device);
            await ConfirmAsync(disk);
            return Outcome.Done;
        }
        catch (BlockException e)
        {
            bool isRefused = e is ZoneException || e.Error == BlockError.NotSupported;
            SimFailure.Unless(disk.Client.LossReason is not null || isRefused, $"a request fails, although the lock is held: {e}");
            return disk.Client.LossReason is null ? Outcome.Refused : Outcome.Lost;
        }
        finally
        {
            disk.InFlight--;
            if (disk.IsClosing && disk.InFlight == 0)
            {
                disk.Drained.TrySetResult();
            }
        }
    }

    private ValueTask ConfirmAsync(OwnedDisk disk) => Flaw == HandoverFlaw.NoCheck ? default : disk.Lease.ConfirmAsync();
}
