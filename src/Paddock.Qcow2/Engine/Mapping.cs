using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>A run of guest bytes with one kind of mapping.</summary>
/// <param name="Kind">How it is stored.</param>
/// <param name="Length">Bytes in the run.</param>
/// <param name="Host">For kinds with a cluster, where the run's first byte lies (not its cluster's).</param>
/// <param name="Writable">The clusters hold data that nothing else refers to: it may be overwritten in place.</param>
/// <param name="Entry">The first cluster's L2 entry.</param>
internal readonly record struct Mapping(ClusterKind Kind, long Length, HostOffset Host, bool Writable, L2Entry Entry);
