using Paddock.Block;

namespace Paddock.Qcow2.Snapshots;

/// <summary>A snapshot was deleted, but what it alone referred to could not be freed: it leaks.</summary>
internal sealed class SnapshotFreeException : BlockException
{
    public SnapshotFreeException(BlockException cause)
        : base(cause.Error, cause.Message, cause) => Errno = cause.Errno;
}
