namespace Paddock.Posix;

/// <summary>How to open a file as storage.</summary>
public sealed record FileOpenOptions
{
    /// <summary>Path of a regular file or a block device.</summary>
    public required string Path { get; init; }

    /// <summary>Name for messages; the path when null.</summary>
    public string? Name { get; init; }

    /// <summary>Open for reading only.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Make the file when it is missing, with mode 0644 less the umask.</summary>
    public bool Create { get; init; }

    /// <summary>Cut the file to nothing, once its lock is held.</summary>
    public bool Truncate { get; init; }

    /// <summary>Bypass the page cache (O_DIRECT). Linux only: refused elsewhere.</summary>
    public bool DirectIo { get; init; }

    /// <summary>
    /// Holes and zeroes begin and end at multiples of it, a power of two; a block device has at least its logical blocks.
    /// </summary>
    public int SpaceUnit { get; init; } = 1;

    /// <summary>Which lock to take. Taken on Linux only.</summary>
    public ImageLock Lock { get; init; }

    /// <summary>
    /// Checks the kind of the file before it is opened; throws to reject it. Not with <see cref="Create"/>.
    /// </summary>
    public Action<FileFacts>? Admit { get; init; }
}
