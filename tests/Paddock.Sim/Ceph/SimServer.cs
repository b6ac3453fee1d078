using Paddock.Block;
using Paddock.Images;
using Paddock.Rbd;

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
internal sealed record OwnedDisk(IBlockDevice Device, ClusterClient Client)
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
    private const long Poll = 400 * VirtualTime.Millisecond;

    // millionths
    private const int MaxDrift = 20_000, SlowDrift = -750_000;

    private readonly SimClock _waitingClock = new(process, random.Next(-MaxDrift, MaxDrift));
    private readonly SimClock _clock
        = new(process, world.Flaw == HandoverFlaw.SlowClock ? SlowDrift : random.Next(-MaxDrift, MaxDrift));
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
    /// <param name="reads">Whether it only reads.</param>
    /// <param name="request">What is done to the disk.</param>
    /// <param name="from">The client.</param>
    /// <param name="reply">What the client does with the outcome.</param>
    public void Submit(int generation, bool reads, Func<IBlockDevice, Task> request, SimProcess from, Action<Outcome> reply)
        => Clients.Send(process, () => world.Watch(HandleAsync(generation, reads, request, from, reply)));

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
            catch (BlockException) when (client.Loss.Reason is not null)
            {
                // on standby again
            }

            _disk = null;
            _request = new TaskCompletionSource();
            await process.DelayAsync(random.NextInt64(2 * VirtualTime.Second));
        }
    }

    // waits over a connection of its own, as standby servers do
    private async Task WaitAsync()
    {
        var client = new ClusterClient(world.Cluster, process, Storage, random);
        await using var succession = new RbdSuccession(new SimLock(client, Flaw), new SimOwnerObject(client, Flaw), _waitingClock);
        while (await succession.LookAsync() is var state and not SuccessionState.Free)
        {
            if (state == SuccessionState.Owned)
            {
                await process.DelayAsync(Poll);
            }
        }
    }

    private async Task<RbdLease?> AcquireAsync(ClusterClient client)
    {
        await WaitAsync();
        if (world.IsEnding)
        {
            return null;
        }

        world.Cluster.Open(client);
        var exclusive = new SimLock(client, Flaw);
        var (generation, isTakenOver) = await exclusive.AcquireAsync();
        client.Generation = generation;
        if (generation == 0)
        {
            return null;
        }

        var lease = new RbdLease(
            new SimOwnerObject(client, Flaw), exclusive, SimLock.OwnerOf(client.Id), client.Loss, _clock,
            self => client.BlockAsync((int)self.Id, isKnown: true));
        await lease.BeginAsync(isTakenOver);
        world.Cluster.Begin(generation);
        return lease;
    }

    private async Task ServeAsync(ClusterClient client, RbdLease lease)
    {
        await world.CheckImageAsync(client.Generation);
        var storage = new ClusterStorage(client, lease, random);
        var device = await world.OpenAsync(storage);
        var disk = new OwnedDisk(Flaw == HandoverFlaw.NoCheck ? device : new OwnedDevice(device, storage), client);
        _disk = disk;
        world.Serves(this, client.Generation);
        await Task.WhenAny(client.Loss.Lost, _request.Task);
        disk.IsClosing = true;
        if (disk.InFlight > 0)
        {
            await Task.WhenAny(client.Loss.Lost, disk.Drained.Task);
        }

        if (client.Loss.Reason is not null)
        {
            // nothing that closing attempts may reach the cluster
            world.Watch(AbandonAsync(disk, storage));
            client.Loss.ThrowIfLost();
        }

        var flush = world.Closing(client.Generation);
        if (Flaw != HandoverFlaw.NoFlush)
        {
            await disk.Device.DisposeAsync();
        }

        world.HasClosed(client.Generation, flush);
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

    private async Task HandleAsync(int generation, bool reads, Func<IBlockDevice, Task> request, SimProcess from, Action<Outcome> reply)
    {
        int before = world.Cluster.Current, stops = process.Stops;
        var outcome = await DoAsync(generation, request);

        // what an owner has accepted or read may be answered later: it was so when the request came
        int current = reads && stops == process.Stops ? world.Cluster.Current : before;
        SimFailure.Unless(
            outcome is Outcome.NotServed or Outcome.Lost || current == generation,
            $"owner {generation} answers a request while the owner is {current}");
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
            await request(disk.Device);
            return Outcome.Done;
        }
        catch (BlockException e)
        {
            bool isRefused = e is ZoneException || e.Error == BlockError.NotSupported;
            SimFailure.Unless(disk.Client.Loss.Reason is not null || isRefused, $"a request fails, although the lock is held: {e}");
            return disk.Client.Loss.Reason is null ? Outcome.Refused : Outcome.Lost;
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
}
