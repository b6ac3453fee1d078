using Paddock.Block;

namespace Paddock.Posix;

/// <summary>Linux error numbers, their texts as glibc words them, and the <see cref="BlockError"/> class of each.</summary>
internal static class Errno
{
    private static readonly (int Number, BlockError Class, string Text)[] Table =
    [
        (1, BlockError.NotPermitted, "Operation not permitted"),
        (2, BlockError.NotFound, "No such file or directory"),
        (5, BlockError.Io, "Input/output error"),
        (11, BlockError.Busy, "Resource temporarily unavailable"),
        (12, BlockError.NoMemory, "Cannot allocate memory"),
        (13, BlockError.ReadOnly, "Permission denied"),
        (16, BlockError.Busy, "Device or resource busy"),
        (17, BlockError.AlreadyExists, "File exists"),
        (19, BlockError.NoDevice, "No such device"),
        (20, BlockError.NotFound, "Not a directory"),
        (21, BlockError.IsDirectory, "Is a directory"),
        (22, BlockError.InvalidArgument, "Invalid argument"),
        (25, BlockError.NoDevice, "Inappropriate ioctl for device"),
        (27, BlockError.TooLarge, "File too large"),
        (28, BlockError.NoSpace, "No space left on device"),
        (30, BlockError.ReadOnly, "Read-only file system"),
        (34, BlockError.InvalidArgument, "Numerical result out of range"),
        (36, BlockError.InvalidArgument, "File name too long"),
        (95, BlockError.NotSupported, "Operation not supported"),
        (109, BlockError.TooManyZones, "Too many references: cannot splice"),
        (122, BlockError.NoSpace, "Disk quota exceeded"),
        (123, BlockError.NoMedium, "No medium found"),
        (4, BlockError.Io, "Interrupted system call"),
        (6, BlockError.Io, "No such device or address"),
        (9, BlockError.Io, "Bad file descriptor"),
        (24, BlockError.Io, "Too many open files"),
        (26, BlockError.Io, "Text file busy"),
        (29, BlockError.Io, "Illegal seek"),
        (32, BlockError.Io, "Broken pipe"),
        (38, BlockError.Io, "Function not implemented"),
        (40, BlockError.Io, "Too many levels of symbolic links"),
        (71, BlockError.Io, "Protocol error"),
        (75, BlockError.Io, "Value too large for defined data type"),
        (98, BlockError.Busy, "Address already in use"),
        (108, BlockError.NotOwner, "Cannot send after transport endpoint shutdown"),
        (110, BlockError.Io, "Connection timed out"),
        (111, BlockError.Io, "Connection refused"),
        (125, BlockError.Cancelled, "Operation canceled"),
    ];

    /// <summary>glibc's text for an error number, such as "Input/output error" for 5.</summary>
    public static string Describe(int errno)
    {
        foreach (var row in Table)
        {
            if (row.Number == errno)
            {
                return row.Text;
            }
        }

        return $"Unknown error {errno}";
    }

    /// <summary>The class of an error number; <see cref="BlockError.Io"/> for any that is not known.</summary>
    public static BlockError ToBlockError(int errno)
    {
        foreach (var row in Table)
        {
            if (row.Number == errno)
            {
                return row.Class;
            }
        }

        return BlockError.Io;
    }

    /// <summary>The error number that stands for a class.</summary>
    public static int FromBlockError(BlockError error) => error switch
    {
        BlockError.InvalidArgument => 22,
        BlockError.NotSupported => 95,
        BlockError.NoSpace => 28,
        BlockError.TooLarge => 27,
        BlockError.ReadOnly => 13,
        BlockError.NotPermitted => 1,
        BlockError.NotFound => 2,
        BlockError.AlreadyExists => 17,
        BlockError.Busy => 11,
        BlockError.NoDevice => 25,
        BlockError.NoMedium => 123,
        BlockError.TooManyZones => 109,
        BlockError.IsDirectory => 21,
        BlockError.NoMemory => 12,
        BlockError.Cancelled => 125,
        BlockError.NotOwner => 108,
        _ => 5,
    };

    /// <summary>The error number of a failure: its own where it is known, else its class's.</summary>
    public static int Of(BlockException failure) => failure.Errno != 0 ? failure.Errno : FromBlockError(failure.Error);

    /// <summary>An exception whose message is <paramref name="what"/> and the error's text.</summary>
    internal static BlockException Failure(int errno, string what)
        => new(ToBlockError(errno), $"{what}: {Describe(errno)}") { Errno = errno };

    /// <summary>Turns what the runtime's file calls throw into a <see cref="BlockException"/>.</summary>
    internal static BlockException Translate(Exception failure, string what)
    {
        int errno = failure switch
        {
            UnauthorizedAccessException => 13,
            FileNotFoundException or DirectoryNotFoundException => 2,
            PathTooLongException => 36,

            // what the runtime makes of EFBIG: past the file-size limit of the process or of the file system
            ArgumentOutOfRangeException => 27,
            ArgumentException => 22,
            NotSupportedException => 95,
            IOException io when OperatingSystem.IsLinux() && io.HResult is > 0 and < 4096 => io.HResult,
            _ => 5,
        };
        return new BlockException(ToBlockError(errno), $"{what}: {Describe(errno)}", failure) { Errno = errno };
    }
}
