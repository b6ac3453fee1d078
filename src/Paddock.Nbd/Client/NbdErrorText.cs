using Paddock.Block;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>What a server's error numbers mean, in the C library's words, which other tools print too.</summary>
internal static class NbdErrorText
{
    private const int LongestShown = 1024;

    /// <summary>A failure as an exception: the meaning first, then what the server says about it.</summary>
    /// <param name="error">The number from the wire.</param>
    /// <param name="said">The server's text; not to be trusted.</param>
    public static BlockException Failure(NbdError error, string said)
    {
        // a number that the protocol does not have counts as EINVAL, as in QEMU
        var (known, kind, words) = Of(error)
            ?? (NbdError.Invalid, BlockError.InvalidArgument,
            $"Invalid argument (the NBD server answered with unknown error {(uint)error})");
        return new BlockException(
            kind, said.Length == 0 ? $"{words} (from the NBD server)" : $"{words} (the NBD server says: {Shown(said)})")
        {
            Errno = (int)known,
        };
    }

    /// <summary>A server's text, fit to be printed.</summary>
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
