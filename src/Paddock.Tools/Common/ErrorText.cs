using Paddock.Block;

namespace Paddock.Tools;

/// <summary>The operating system's words for an error, as C tools print them.</summary>
public static class ErrorText
{
    private static readonly Dictionary<int, string> ByNumber = new()
    {
        [1] = "Operation not permitted",
        [2] = "No such file or directory",
        [4] = "Interrupted system call",
        [5] = "Input/output error",
        [6] = "No such device or address",
        [9] = "Bad file descriptor",
        [11] = "Resource temporarily unavailable",
        [12] = "Cannot allocate memory",
        [13] = "Permission denied",
        [16] = "Device or resource busy",
        [17] = "File exists",
        [19] = "No such device",
        [20] = "Not a directory",
        [21] = "Is a directory",
        [22] = "Invalid argument",
        [24] = "Too many open files",
        [25] = "Inappropriate ioctl for device",
        [26] = "Text file busy",
        [27] = "File too large",
        [28] = "No space left on device",
        [29] = "Illegal seek",
        [30] = "Read-only file system",
        [34] = "Numerical result out of range",
        [36] = "File name too long",
        [38] = "Function not implemented",
        [40] = "Too many levels of symbolic links",
        [71] = "Protocol error",
        [75] = "Value too large for defined data type",
        [95] = "Operation not supported",
        [109] = "Too many references: cannot splice",
        [110] = "Connection timed out",
        [111] = "Connection refused",
        [122] = "Disk quota exceeded",
        [123] = "No medium found",
        [125] = "Operation canceled",
    };

    /// <summary>The words for an error number.</summary>
    public static string Of(int errno) => ByNumber.TryGetValue(errno, out string? text) ? text : $"Unknown error {errno}";

    /// <summary>The words for a failure of a device or storage.</summary>
    public static string Of(BlockException failure) => Of(NumberOf(failure));

    /// <summary>The error number of a failure.</summary>
    public static int NumberOf(BlockException failure) => failure.Errno != 0 ? failure.Errno : failure.Error switch
    {
        BlockError.Io => 5,
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
        _ => 125,
    };
}
