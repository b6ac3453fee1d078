namespace Paddock.Block;

/// <summary>
/// A block device rejected or failed a request. The device still works after it unless the derived type says otherwise.
/// <see cref="Exception.Message"/> is a whole phrase for people; <see cref="Error"/> is for programs.
/// </summary>
public class BlockException : IOException
{
    /// <param name="error">The class of the failure.</param>
    /// <param name="message">A phrase for people, without a final full stop.</param>
    /// <param name="inner">Exception of the storage, if there was one.</param>
    public BlockException(BlockError error, string message, Exception? inner = null)
        : base(message, inner)
        => Error = error;

    /// <summary>The class of the failure.</summary>
    public BlockError Error { get; }

    /// <summary>The operating system's error number where one is known (a fault injector's, a file's), else 0.</summary>
    public int Errno { get; init; }
}
