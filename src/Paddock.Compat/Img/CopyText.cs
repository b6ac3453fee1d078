using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary>What a copy's failures print.</summary>
internal static class CopyText
{
    private static readonly Lock Lines = new();

    /// <summary>A request that failed, in the peer's words; what the peer has no words for in our own.</summary>
    public static string Of(CopyException e)
        => e.IsStatus ? $"error while reading block status at offset {e.Offset}: {Cause(e)}"
            : $"error while {(e.IsRead ? "reading" : "writing")} at byte {e.Offset}: {Cause(e)}";

    /// <summary>Why the request failed.</summary>
    public static string Cause(CopyException e)
        => e.Failure is ZoneException or Qcow2.ImageCorruptException
            || e.Failure is { Error: BlockError.InvalidArgument } or { Error: BlockError.NotSupported, Errno: 0 }
            ? e.Failure.Message : ErrorText.Of(e.Failure);

    /// <summary>A sector that became zeroes, or whose block status could not be read.</summary>
    public static void WarnUnreadable(ToolContext ctx, bool quiet, bool isStatus, long offset, BlockException e)
    {
        if (!quiet)
        {
            lock (Lines)
            {
                ctx.Warn($"error while reading {(isStatus ? "block status at " : "")}offset {offset}: {ErrorText.Of(e)}");
            }
        }
    }
}
