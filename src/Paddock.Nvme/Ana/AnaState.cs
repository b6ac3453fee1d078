namespace Paddock.Nvme.Ana;

/// <summary>Asymmetric namespace access state of a group, as a controller reports it (NVMe base 2.0, 8.1.2).</summary>
internal enum AnaState : byte
{
    /// <summary>Commands run, and this is a path to prefer.</summary>
    Optimized = 0x1,

    /// <summary>Commands run; another path, if any, is better.</summary>
    NonOptimized = 0x2,

    /// <summary>Commands are rejected: another controller has the namespaces, or will have them.</summary>
    Inaccessible = 0x3,

    /// <summary>Commands are rejected, for the rest of the controller's life.</summary>
    PersistentLoss = 0x4,

    /// <summary>Commands are rejected while the state changes.</summary>
    Change = 0xF,
}
