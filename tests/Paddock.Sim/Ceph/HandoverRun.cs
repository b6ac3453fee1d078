using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim.Ceph;

/// <summary>
/// Several servers hand one image in a Ceph cluster over to each other: as planned, and because they are killed, stopped, slow, or cut off
/// from the cluster or from clients, at any step. Clients write and verify meanwhile. Whatever happens, each new owner finds every flushed
/// byte, no append twice and a sound image, and an earlier owner answers nothing and writes nothing any more.
/// </summary>
internal sealed class HandoverRun(int seed, SimOptions options, bool zoned)
    : SimRun(seed, options), IHandoverWorld
{
    private const int Sector = SectorPattern.Sector;
    private const int MaxSteps = 20_000_000;

    private readonly VirtualTime _time = new();
    private readonly List<SimServer> _servers = [];
    private readonly TaskCompletionSource _end = new();
    private Func<IStorage, Task<IBlockDevice>> _open = null!;
    private SimProcess _clients = null!;
    private HandoverLoad _load = null!;
    private DiskModel _model = null!;
    private DiskShape _shape = null!;
    private DiskPath? _active;
    private TaskCompletionSource _served = new();
    private bool _isLazy;

    /// <inheritdoc/>
    public SimCluster Cluster { get; private set; } = null!;

    /// <inheritdoc/>
    public HandoverFlaw Flaw => Options.Flaw;

    /// <inheritdoc/>
    public bool IsEnding { get; private set; }

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        Cluster = new SimCluster(_time, Random, await BuildAsync());
        var nemesis = new SimProcess(_time, "nemesis");
        nemesis.Run(() => Watch(TormentAsync(nemesis)));
        _time.Run(_end.Task, MaxSteps);
        await _end.Task;
        await CheckEndAsync();
    }

    /// <inheritdoc/>
    public void Watch(Task task) => _ = WatchAsync(task);

    /// <inheritdoc/>
    public async Task CheckImageAsync(int generation)
    {
        if (!_isLazy)
        {
            await CheckAsync(Cluster.Content.Clone(), leaksAllowed: true, $"before owner {generation}");
        }
    }

    /// <inheritdoc/>
    public Task<IBlockDevice> OpenAsync(IStorage storage) => _open(storage);

    /// <inheritdoc/>
    public void Serves(SimServer server, int generation)
    {
        if (generation < _active?.Generation)
        {
            // it was fenced while it opened the image, and does not know yet
            return;
        }

        Trace($"{Seconds}: {server.Process.Name} is owner {generation}");
        Cuts += generation > 1 ? 1 : 0;
        var path = new DiskPath(server, generation);
        TryOldPath();
        _active = path;
        server.Clients.Send(_clients, () => _load.Found(path));
        var served = _served;
        _served = new TaskCompletionSource();
        served.SetResult();
    }

    /// <inheritdoc/>
    public TimedOp Closing(int generation) => _model.TimelineOf(generation).BeginFlush();

    /// <inheritdoc/>
    public void HasClosed(int generation, TimedOp flush) => _model.TimelineOf(generation).Acknowledge(flush);

    private string Seconds => $"{_time.Now / (double)VirtualTime.Second:F3} s";

    private async Task<PagedStorage> BuildAsync()
    {
        if (zoned)
        {
            var recipe = ZonedRecipe.Make(Random, Options.Extended, 512, 4096, 4096, 65536);
            var zones = recipe.Zones;
            Trace(recipe.ToString());
            _open = async storage => await recipe.OpenAsync(storage);
            _isLazy = recipe.Create.LazyRefcounts;
            _shape = new DiskShape(recipe.Create.Size, zones.ZoneSize, zones.ZoneCapacity ?? zones.ZoneSize, (int)zones.ConventionalZones);
            BeginModel(null, zones.MaxAppendBytes, zones.MaxActiveZones > 0 || zones.MaxOpenZones > 0);
            return await recipe.BuildAsync();
        }

        var plain = await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 4096, 4096, 65536);
        Trace(plain.ToString());
        _open = async storage => await plain.OpenAsync(storage);
        _isLazy = plain.Create.LazyRefcounts;
        int stripes = Random.Next(1, 9);
        long stripe = Math.Max(1, plain.Create.Size / Sector / stripes) * Sector;
        int zoneCount = (int)((plain.Create.Size + stripe - 1) / stripe);
        _shape = new DiskShape(plain.Create.Size, stripe, stripe, zoneCount);
        BeginModel(plain.Start, 0, hasLimits: false);
        return await plain.BuildAsync();
    }

    private void BeginModel(uint[]? start, long maxAppend, bool hasLimits)
    {
        _model = new DiskModel(_shape, start, () => _time.Steps);
        _clients = new SimProcess(_time, "clients");
        _load = new HandoverLoad(_clients, _model, _shape, Random)
        {
            Clients = Random.Next(1, 5), MaxAppend = maxAppend, HasZoneLimits = hasLimits, Trace = line => Trace($"{Seconds}: {line}"),
        };
    }

    private async Task WatchAsync(Task task)
    {
        try
        {
            await task;
        }
        catch (Exception e)
        {
            _end.TrySetException(e);
        }
    }

    private void StartServer()
    {
        var server = new SimServer(this, new SimProcess(_time, $"server {_servers.Count + 1}"), Random);
        _servers.Add(server);
        server.Process.Run(() => Watch(server.RunAsync()));
    }

    /// <summary>Clients that still know an earlier owner send it requests, which must fail.</summary>
    private void TryOldPath()
    {
        if (_active is not { } old)
        {
            return;
        }

        for (int i = 0; i < 4; i++)
        {
            int kind = i;
            uint version = _model.NextVersion();
            old.Server.Submit(old.Generation, reads: true, device => kind switch
            {
                0 => device.ReadAsync(0, new byte[Math.Min(4096, device.Length)]).AsTask(),
                1 => device.FlushAsync().AsTask(),
                2 when device.Zones is { } zones => zones.ReportAsync(0, new ZoneDescriptor[1]).AsTask(),
                _ => device.WriteAsync(0, SectorPattern.Make(0, Sector, version)).AsTask(),
            }, _clients, outcome => SimFailure.Unless(
                outcome is Outcome.NotServed or Outcome.Lost, $"owner {old.Generation} has answered request {kind} after it was replaced"));
        }
    }

    private async Task TormentAsync(SimProcess nemesis)
    {
        int servers = Random.Next(2, 4);
        for (int i = 0; i < servers; i++)
        {
            StartServer();
        }

        var load = new TaskCompletionSource();
        _clients.Run(() => Watch(RunLoadAsync(load)));
        var faults = new HandoverFaults(_time, Cluster, Random, StartServer, line => Trace($"{Seconds}: {line}"));
        int target = Math.Max(2, Options.Ops / 4);
        while (Cuts < target)
        {
            await WaitForLoadAsync(nemesis);
            var before = _active;
            faults.Happen(_servers, before?.Server);
            for (int i = 0; i < 3 && _active == before; i++)
            {
                await nemesis.WaitAsync(_served.Task, 5 * VirtualTime.Second);
            }
        }

        await EndAsync(nemesis, load.Task);
    }

    private async Task RunLoadAsync(TaskCompletionSource ended)
    {
        await _load.RunAsync();
        ended.SetResult();
    }

    private async Task WaitForLoadAsync(SimProcess nemesis)
    {
        long enough = _load.Answers + Random.Next(30), until = _time.Now + (2 * VirtualTime.Second);
        while (_load.Answers < enough && _time.Now < until)
        {
            await nemesis.DelayAsync(Random.NextInt64(20 * VirtualTime.Millisecond));
        }
    }

    // without faults, some server answers again soon
    private async Task EndAsync(SimProcess nemesis, Task load)
    {
        Trace($"{Seconds}: no more faults");
        HandoverFaults.EndAll(_servers);
        long answers = _load.Answers;
        for (int i = 0; _load.Answers == answers; i++)
        {
            SimFailure.Unless(i < 120, $"nobody has answered for two minutes; the lock is of client {Cluster.Owner}");
            await nemesis.DelayAsync(VirtualTime.Second);
        }

        _load.IsEnding = true;
        SimFailure.Unless(await nemesis.WaitAsync(load, 300 * VirtualTime.Second), "a request is never answered");
        IsEnding = true;
        for (int i = 0; Cluster.Owner != 0; i++)
        {
            // one that has just acquired the lock still becomes the owner
            _active!.Server.HandOver();
            SimFailure.Unless(i < 120, $"the lock is not released, but is of client {Cluster.Owner}");
            await nemesis.DelayAsync(VirtualTime.Second);
        }

        _end.TrySetResult();
    }

    private async Task CheckEndAsync()
    {
        await CheckImageAsync(Cluster.Generation + 1);
        var device = await _open(Cluster.Content.Clone());
        for (int zone = 0; zone < _shape.Zones; zone++)
        {
            _model.Check(zone, await HandoverLoad.ReadAsync(device, _shape, zone, mayBeOpen: false));
        }

        if (_model.HasLateAnswers)
        {
            _model.JudgeAgain();
        }

        await device.DisposeAsync();
    }
}
