namespace Paddock.Sim.Ceph;

/// <summary>A rule of hand-overs that is broken on purpose, to show that the simulator notices.</summary>
internal enum HandoverFlaw
{
    /// <summary>None.</summary>
    None,

    /// <summary>The lock is broken without the blocklist.</summary>
    NoFence,

    /// <summary>The new owner does not wait until it knows the blocklist, so that OSDs do not learn it from its requests.</summary>
    OldEpoch,

    /// <summary>The clock by which owners judge their leases is four times too slow.</summary>
    SlowClock,

    /// <summary>The owner answers requests without a look at its lease.</summary>
    NoCheck,

    /// <summary>A planned hand-over does not flush.</summary>
    NoFlush,
}
