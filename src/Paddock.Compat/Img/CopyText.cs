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
        => $"error while {(e.IsRead ? "reading" : "writing")} at byte {e.Offset}: {Cause(e)}";

    /// <summary>Why the request failed.</summary>
    public static string Cause(CopyException e)
        => e.Failure is ZoneException or Qcow2.ImageCorruptException
            || e.Failure is { Error: BlockError.InvalidArgument } or { Error: BlockError.NotSupported, Errno: 0 }
            ? e.Failure.Message : ErrorText.Of(e.Failure);

    /// <summary>A sector that became zeroes.</summary>
    public static void WarnUnreadable(ToolContext ctx, bool quiet, long offset, BlockException e)
    {
        if (!quiet)
        {
            lock (Lines)
            {
                ctx.Warn($"error while reading offset {offset}: {ErrorText.Of(e)}");
            }
        }
    }
}

/// <summary>The line that shows how far a copy is.</summary>
internal sealed class CopyProgress(ToolContext ctx)
{
    private double _shown = double.NegativeInfinity;

    public void Show(long copied, long total)
    {
        double percent = total == 0 ? 0 : copied * 100.0 / total;
        if ((percent == 0 || percent >= 100 || percent > _shown + 1) && (copied > 0 || _shown < 0))
        {
            _shown = percent;
            ctx.Out.Write(FormattableString.Invariant($"    ({percent:F2}/100%)\r"));
            ctx.Out.Flush();
        }
    }

    /// <summary>Ends the line of something that failed.</summary>
    public void Break() => ctx.Out.Write("\n");

    public void End() => ctx.Out.Write("    (100.00/100%)\r\n");
}
