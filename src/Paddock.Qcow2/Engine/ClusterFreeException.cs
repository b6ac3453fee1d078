using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>The reference counts of clusters that nothing refers to any more could not be lowered: they leak.</summary>
internal sealed class ClusterFreeException : BlockException
{
    public ClusterFreeException(BlockException cause)
        : base(cause.Error, cause.Message, cause) => Errno = cause.Errno;
}
