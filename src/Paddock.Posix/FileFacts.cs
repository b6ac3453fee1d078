namespace Paddock.Posix;

/// <summary>Identity and kind of a file, independent of the name used to open it.</summary>
/// <param name="RealPath">Its name without symbolic links and "..".</param>
/// <param name="Identity">The same for the same file, and for the same block device.</param>
/// <param name="IsStored">Whether it is a regular file or a block device.</param>
public sealed record FileFacts(string RealPath, string Identity, bool IsStored)
{
    /// <summary>The directory that holds it, without symbolic links and "..".</summary>
    public string Directory => RealPath[..Math.Max(RealPath.LastIndexOf('/'), 1)];
}

/// <summary>A name leads to something that holds no image: a FIFO or a socket.</summary>
public sealed class WrongFileTypeException : Paddock.Block.BlockException
{
    internal WrongFileTypeException(string path)
        : base(Paddock.Block.BlockError.InvalidArgument, $"Could not open '{path}': it is neither a regular file nor a device")
    {
        Errno = 22;
    }
}
