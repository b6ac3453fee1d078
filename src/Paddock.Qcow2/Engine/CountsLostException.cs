using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Reference counts could not be written when an image was closed, and nothing else was left to be written: clusters may leak.
/// </summary>
internal sealed class CountsLostException : BlockException
{
    public CountsLostException(BlockException cause)
        : base(cause.Error, cause.Message, cause) => Errno = cause.Errno;
}
