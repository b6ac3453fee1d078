using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Ana;

/// <summary>
/// Namespaces whose access state changes as one: those of one served image. All controllers of a subsystem report the same state; the
/// other paths are controllers of another server with the same subsystem. May be used from any thread.
/// </summary>
/// <remarks>
/// A change of the state keeps commands out that start after it; it does not wait for commands in flight, which end as their device
/// lets them.
/// </remarks>
internal sealed class AnaGroup
{
    /// <summary>The greatest identifier of a group.</summary>
    public const uint MaxId = 1024;

    // Linux may need some time until a worker sends what it has queued for a path
    private const int QuietPolls = 10;
    private const int LookingPolls = 3;
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(10);

    private readonly Lock _lock = new();
    private readonly HashSet<NvmeSubsystem> _subsystems = [];

    // what is reported, and what decides about commands
    private volatile AnaState _state, _effective;
    private long _changes, _losses;

    /// <param name="id">Its identifier (ANAGRPID), from 1 to <see cref="MaxId"/>; the same on every server of the subsystem.</param>
    /// <param name="state">Its state at first.</param>
    public AnaGroup(uint id, AnaState state)
    {
        if (id is 0 or > MaxId)
        {
            throw new ArgumentOutOfRangeException(nameof(id), id, $"an ANA group has an identifier from 1 to {MaxId}");
        }

        Id = id;
        _state = _effective = state;
    }

    /// <summary>The identifier, from 1 on.</summary>
    public uint Id { get; }

    /// <summary>The state that hosts see.</summary>
    public AnaState State => _state;

    /// <summary>How often its descriptor in the log has changed (CHGCNT).</summary>
    public ulong Changes => (ulong)Volatile.Read(ref _changes);

    /// <summary>
    /// How often writes that were acknowledged, and that no flush followed, may have been lost. Part of the run number that Identify
    /// Controller shows, so that hosts of this project notice.
    /// </summary>
    public ulong Losses => (ulong)Volatile.Read(ref _losses);

    /// <summary>
    /// Status of commands for its namespaces while they cannot be used; success while they can. None of these statuses forbids a retry: the
    /// host repeats the command on another path.
    /// </summary>
    public NvmeStatus Refusal => _effective switch
    {
        AnaState.Inaccessible => NvmeStatus.AccessInaccessible,
        AnaState.PersistentLoss => NvmeStatus.AccessPersistentLoss,
        AnaState.Change => NvmeStatus.AccessTransition,
        _ => NvmeStatus.Success,
    };

    /// <summary>
    /// Changes the state, and notifies the hosts of every controller with the ANA change event. Entering
    /// <see cref="AnaState.Change"/> raises none (8.1.2.6): the state that follows does.
    /// </summary>
    /// <exception cref="InvalidOperationException">The state was <see cref="AnaState.PersistentLoss"/>, which never ends.</exception>
    public void SetState(AnaState state)
    {
        Change(state, isEffective: true);
    }

    /// <summary>
    /// Reports a state before it takes effect, and completes when the hosts have read it and have stopped sending commands, or at the
    /// limit. Commands run as before meanwhile.
    /// </summary>
    /// <remarks>
    /// Linux keeps queues of writes to zones for each path. What is in them when commands are refused comes back behind later writes, and
    /// fails on the next path, or hangs there, since it is marked as queued; this lets it be written first.
    /// </remarks>
    /// <param name="state">The state; <see cref="SetState"/> makes it effective.</param>
    /// <param name="limit">How long to wait at most.</param>
    public async Task AnnounceAsync(AnaState state, TimeSpan limit)
    {
        Change(state, isEffective: false);
        long started = TimeProvider.System.GetTimestamp(), before = -1;
        int quiet = 0;
        while (quiet < QuietPolls && TimeProvider.System.GetElapsedTime(started) < limit && Subsystems().Any(static s => s.HasAccessEvents))
        {
            await Task.Delay(PollPause, TimeProvider.System);
            long now = Subsystems().SelectMany(static s => s.Namespaces).Where(ns => ns.AnaGroup == this).Sum(ns => ns.Statistics.Requests);
            bool isQuiet = now == before && !Subsystems().Any(static s => s.HasUnreadAccessEvents);
            (quiet, before) = (isQuiet ? quiet + 1 : 0, now);
        }
    }

    /// <summary>
    /// Lets commands run before a state with access is reported, has hosts look at the zoned namespaces again, and completes when they have
    /// done so, or at the limit.
    /// </summary>
    /// <remarks>
    /// Linux reads the zones of a path when it connects, or when a namespace has changed. It could not on a path without access, and zone
    /// management would fail there: with this it does before it uses the path.
    /// </remarks>
    /// <param name="state">The state; <see cref="SetState"/> reports it.</param>
    /// <param name="limit">How long to wait at most.</param>
    public async Task PrepareAsync(AnaState state, TimeSpan limit)
    {
        lock (_lock)
        {
            _effective = _state == AnaState.PersistentLoss ? _state : state;
        }

        Controller[] hosts = [.. Subsystems().SelectMany(static s => s.Controllers()).Where(static c => c.Events.FollowsAccess)];
        foreach (var subsystem in hosts.Select(static c => c.Subsystem).Distinct())
        {
            foreach (var ns in subsystem.Namespaces.Where(ns => ns.AnaGroup == this && ns.Zones is not null))
            {
                subsystem.TellChanged(ns);
            }
        }

        long started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < limit && Array.Exists(hosts, static c => IsLooking(c)))
        {
            await Task.Delay(PollPause, TimeProvider.System);
        }
    }

    /// <summary>
    /// The server has lost the image, or could not flush it before it gave it away: writes that it had acknowledged may be lost. The state
    /// becomes <see cref="AnaState.Inaccessible"/>. To be called before another server can open the image, where that is possible: hosts
    /// that find a server inaccessible without this may take its writes for durable.
    /// </summary>
    public void LoseAccess()
    {
        Interlocked.Increment(ref _losses);
        SetState(AnaState.Inaccessible);
    }

    /// <summary>A namespace of the group has joined a subsystem, or has left it.</summary>
    /// <param name="subsystem">The subsystem.</param>
    /// <param name="isMember">Whether the subsystem has a namespace of the group now.</param>
    public void MembersChanged(NvmeSubsystem subsystem, bool isMember)
    {
        lock (_lock)
        {
            _ = isMember ? _subsystems.Add(subsystem) : _subsystems.Remove(subsystem);
            _changes++;
        }
    }

    private static bool IsLooking(Controller host)
        => host.Events.OwesNamespaces || host.SilentMilliseconds < LookingPolls * PollPause.TotalMilliseconds;

    private void Change(AnaState state, bool isEffective)
    {
        NvmeSubsystem[] subsystems;
        bool changes;
        lock (_lock)
        {
            if (_state == AnaState.PersistentLoss && state != AnaState.PersistentLoss)
            {
                throw new InvalidOperationException($"ANA group {Id} is lost: its state cannot become {state}");
            }

            changes = _state != state;
            _state = state;
            _effective = isEffective ? state : _effective;
            _changes += changes ? 1 : 0;
            subsystems = [.. _subsystems];
        }

        if (changes && state != AnaState.Change)
        {
            Array.ForEach(subsystems, static s => s.TellAccessChanged());
        }
    }

    private NvmeSubsystem[] Subsystems()
    {
        lock (_lock)
        {
            return [.. _subsystems];
        }
    }
}
