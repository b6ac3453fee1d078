using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2.Bitmaps;
using Paddock.Qcow2.Engine;

namespace Paddock.Compat;

/// <summary>QEMU's lines about a qcow2 image that could not be written when it was closed.</summary>
internal static class CloseFailure
{
    /// <summary>The line about lost bitmaps. QEMU names nodes by a number, which differs from run to run.</summary>
    public static string LineOf(BitmapsLostException failure)
    {
        const int few = 100, many = 1000;
        return failure.MessageFor($"#block{few + (Environment.ProcessId % (many - few))}");
    }

    /// <summary>The lines.</summary>
    /// <param name="failure">Thrown by the closing.</param>
    public static List<string> LinesOf(BlockException failure)
    {
        const string Tables = "Failed to flush the L2 table cache: ", Counts = "Failed to flush the refcount block cache: ";
        string why = ErrorText.Of(failure);
        return failure switch
        {
            BitmapsLostException lost => [LineOf(lost)],
            CountsLostException => [Counts + why],
            // both caches are tried
            _ => [Tables + why, Counts + why],
        };
    }
}
