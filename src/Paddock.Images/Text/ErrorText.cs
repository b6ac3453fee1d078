using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Images.Text;

/// <summary>The operating system's words for an error, as C tools print them.</summary>
internal static class ErrorText
{
    /// <summary>The words for an error number.</summary>
    public static string Of(int errno) => Errno.Describe(errno);

    /// <summary>The words for a failure of a device or storage.</summary>
    public static string Of(BlockException failure) => Errno.Describe(Errno.Of(failure));

    /// <summary>The error number of a failure.</summary>
    public static int NumberOf(BlockException failure) => Errno.Of(failure);
}
