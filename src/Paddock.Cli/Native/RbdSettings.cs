using Paddock.Block;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>
/// What a new image in RBD is made of unless options say otherwise, chosen by measurement (docs/rbd.md): clusters of a quarter of an
/// object, and tables that are complete from the beginning, so that a flush has only data and write pointers to wait for.
/// </summary>
internal static class RbdSettings
{
    /// <summary>Bytes of a cluster.</summary>
    public const int ClusterSize = 1 << 20;

    // tables of a larger disk would be written for minutes: 10 bytes for each cluster
    private const long MaxPreallocated = 4L << 40;

    /// <summary>Bytes that hold a whole new image, its tables and all clusters.</summary>
    public static long Room(Qcow2CreateOptions options) => options.Size + (options.Size / 512) + (64 << 20);

    /// <summary>The properties of a new image.</summary>
    /// <param name="options">Those on the command line, with other defaults.</param>
    /// <param name="hasClusterSize">Whether the command line has the size of clusters.</param>
    public static Qcow2CreateOptions Apply(Qcow2CreateOptions options, bool hasClusterSize)
    {
        bool fits = options.Zoned is not { Layout: ZoneLayout.C } zoned || zoned.ZoneSize % ClusterSize == 0;
        options = hasClusterSize || !fits ? options : options with { ClusterSize = ClusterSize };
        return options.BackingFile is null && options.Size <= MaxPreallocated && options.ClusterSize >= ClusterSize
            ? options with { Preallocation = Preallocation.Metadata } : options;
    }
}
