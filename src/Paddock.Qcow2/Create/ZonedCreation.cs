using Paddock.Block;

namespace Paddock.Qcow2.Create;

/// <summary>The zoned part of a new image.</summary>
internal static class ZonedCreation
{
    public static void Check(Qcow2CreateOptions options)
    {
    }

    public static byte[] BuildTable(Qcow2CreateOptions options, long size) => [];

    public static byte[] BuildExtension(Qcow2CreateOptions options, long size, long tableOffset) => [];
}
