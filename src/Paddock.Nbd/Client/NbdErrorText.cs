using Paddock.Block;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>Texts of a server's error numbers: those of the C library, as other tools print them.</summary>
internal static class NbdErrorText
{
    private const int LongestShown = 1024;

    /// <summary>Creates an exception from an error number and the server's message.</summary>
    /// <param name="error">Error number from the wire.</param>
    /// <param name="said">The server's message; untrusted.</param>
    public static BlockException Failure(NbdError error, string said)
    {
        // an undefined number counts as EINVAL, as in QEMU
        var (known, kind, words) = Of(error)
            ?? (NbdError.Invalid, BlockError.InvalidArgument,
            $"Invalid argument (the NBD server answered with unknown error {(uint)error})");
        return new BlockException(
            kind, said.Length == 0 ? $"{words} (from the NBD server)" : $"{words} (the NBD server says: {Shown(said)})")
        {
            Errno = (int)known,
        };
    }

    /// <summary>A server's message, escaped for printing.</summary>
    public static string Shown(string text)
        => EscapedText.Escape(text.Length <= LongestShown ? text : string.Concat(text.AsSpan(0, LongestShown), "..."));

    private static (NbdError Error, BlockError Kind, string Words)? Of(NbdError error) => error switch
    {
        NbdError.NotPermitted => (error, BlockError.NotPermitted, "Operation not permitted"),
        NbdError.Io => (error, BlockError.Io, "Input/output error"),
        NbdError.NoMemory => (error, BlockError.NoMemory, "Cannot allocate memory"),
        NbdError.Invalid => (error, BlockError.InvalidArgument, "Invalid argument"),
        NbdError.NoSpace => (error, BlockError.NoSpace, "No space left on device"),
        NbdError.Overflow => (error, BlockError.TooLarge, "Value too large for defined data type"),
        NbdError.NotSupported => (error, BlockError.NotSupported, "Operation not supported"),
        NbdError.Shutdown => (error, BlockError.Io, "Cannot send after transport endpoint shutdown"),
        _ => null,
    };
}
