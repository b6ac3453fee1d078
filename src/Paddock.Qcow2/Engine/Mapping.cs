using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>A run of guest bytes with one kind of mapping.</summary>
/// <param name="Kind">How it is stored.</param>
/// <param name="Length">Bytes in the run.</param>
/// <param name="Host">
/// Where the run's first byte lies (not its cluster's); none without a cluster. Unallocated subclusters may have one.
/// </param>
/// <param name="Writable">The clusters hold data that nothing else refers to: it may be overwritten in place.</param>
/// <param name="Entry">The first cluster's L2 entry; of an extended one, the first half.</param>
internal readonly record struct Mapping(ClusterKind Kind, long Length, HostOffset Host, bool Writable, L2Entry Entry)
{
    /// <summary>Whether the run has clusters in which its bytes are, or may be stored.</summary>
    public bool HasCluster => !Entry.IsCompressed && (!Entry.Offset.IsNone || Entry.IsCopied);

    /// <summary>Whether the run has clusters that nothing else refers to. Its data may be stored there, if it is not already.</summary>
    public bool HasOwnCluster => HasCluster && Entry.IsCopied;
}
