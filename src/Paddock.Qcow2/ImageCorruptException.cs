using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2;

/// <summary>
/// An image contradicts the format or itself. Every such finding of the engine goes through here: one place for a log line and a
/// breakpoint. The image can still be read where other structures are sound; a found overlap marks it corrupt and closes it for writing.
/// </summary>
public sealed class ImageCorruptException : BlockException
{
    /// <param name="structure">The structure that is wrong, such as "L2 table".</param>
    /// <param name="at">Where it lies in the storage.</param>
    /// <param name="reason">What is wrong with it, with the value and the limit.</param>
    internal ImageCorruptException(string structure, HostOffset at, string reason)
        : base(BlockError.Io, $"{structure} at {at}: {reason}")
    {
        Structure = structure;
        At = at;
    }

    /// <summary>The structure that is wrong.</summary>
    public string Structure { get; }

    /// <summary>Where it lies in the storage, in bytes.</summary>
    public long Offset => At.Value;

    /// <summary>The same, typed.</summary>
    internal HostOffset At { get; }
}
