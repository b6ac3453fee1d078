using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>What servers are part of.</summary>
internal interface IHandoverWorld
{
    /// <summary>The cluster.</summary>
    SimCluster Cluster { get; }

    /// <summary>Rule that is broken on purpose.</summary>
    HandoverFlaw Flaw { get; }

    /// <summary>Whether no server takes the disk over any more.</summary>
    bool IsEnding { get; }

    /// <summary>Fails the simulation if a task fails.</summary>
    void Watch(Task task);

    /// <summary>Checks the image as a new owner finds it, before it opens it.</summary>
    Task CheckImageAsync(int generation);

    /// <summary>Opens the disk.</summary>
    Task<IBlockDevice> OpenAsync(IStorage storage);

    /// <summary>A server owns the disk and takes requests.</summary>
    void Serves(SimServer server, int generation);

    /// <summary>An owner begins to close the disk, which makes everything durable.</summary>
    TimedOp Closing(int generation);

    /// <summary>An owner has closed the disk.</summary>
    void HasClosed(int generation, TimedOp flush);
}
