namespace Paddock.Images;

/// <summary>Ends a tool's run with a message on standard error and an exit code.</summary>
/// <param name="message">What follows <c>PROGRAM: </c>; may have several lines; empty to print nothing.</param>
/// <param name="exitCode">The process's exit code.</param>
/// <param name="inner">The cause; null: there is no other.</param>
internal class ToolException(string message, int exitCode = 1, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The process's exit code.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>The name of a disk at a server is malformed.</summary>
/// <param name="message">What is wrong, and the expected form.</param>
internal sealed class InvalidNameException(string message) : ToolException(message);

/// <summary>The command line itself is wrong: the message is followed by a pointer to the help.</summary>
/// <param name="message">What is wrong.</param>
/// <param name="isFromGetOpt">True when the message names the command as getopt does (<c>qemu-img create: ...</c>).</param>
internal sealed class UsageException(string message, bool isFromGetOpt = false) : ToolException(message)
{
    /// <summary>True when the message names the command as getopt does.</summary>
    public bool IsFromGetOpt { get; } = isFromGetOpt;
}
