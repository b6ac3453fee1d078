using System.Numerics;
using System.Text;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Create;

/// <summary>Refuses options that make no image, each with a message of its own, before anything is written.</summary>
internal static class CreateValidation
{
    private const int SmallestExtendedCluster = 1 << (Qcow2Limits.MinClusterBits + SubclusterMap.CountBits);

    /// <summary>The geometry that checked options give.</summary>
    public static ClusterGeometry Geometry(Qcow2CreateOptions options) => new(
        BitOperations.Log2((uint)options.ClusterSize), BitOperations.Log2((uint)options.RefcountBits),
        options.ExtendedL2 ? ClusterGeometry.ExtendedEntryBits : ClusterGeometry.StandardEntryBits);

    public static void Check(Qcow2CreateOptions options)
    {
        if (options.ExtendedL2 && options.Version < 3)
        {
            throw Invalid("Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (options.ClusterSize is < 1 << Qcow2Limits.MinClusterBits or > 1 << Qcow2Limits.MaxClusterBits
            || !BitOperations.IsPow2(options.ClusterSize))
        {
            throw Invalid("Cluster size must be a power of two between 512 and 2048k");
        }

        if (options.ExtendedL2 && options.ClusterSize < SmallestExtendedCluster)
        {
            throw Invalid($"Extended L2 entries are only supported with cluster sizes of at least {SmallestExtendedCluster} bytes");
        }

        if (options.Version is not (2 or 3))
        {
            throw Invalid("compatibility level must be 0.10 (version 2) or 1.1 (version 3)");
        }

        if (options.RefcountBits is < 1 or > 64 || !BitOperations.IsPow2(options.RefcountBits))
        {
            throw Invalid("Refcount width must be a power of two and may not exceed 64 bits");
        }

        if (options.Version < 3)
        {
            CheckVersion2(options);
        }

        if (options.Size < 0)
        {
            throw Invalid("the size of an image cannot be negative");
        }

        if (options.Size > long.MaxValue - (1L << 40) || Geometry(options).L1EntriesFor(options.Size) * 8 > Qcow2Limits.MaxL1Bytes)
        {
            throw new BlockException(
                BlockError.TooLarge, "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
        }

        CheckBacking(options);
        if (options is { Encryption: not null, OldAesEncryption: true })
        {
            throw Invalid("an image has one encryption: LUKS, or the old AES");
        }

        CheckDataFile(options);
        ZonedCreation.Check(options);
    }

    private static void CheckBacking(Qcow2CreateOptions options)
    {
        if (options.BackingFile is null)
        {
            if (options.BackingFormat is not null)
            {
                throw Invalid("Backing format cannot be used without backing file");
            }

            return;
        }

        if (options.Preallocation != Preallocation.Off && !options.ExtendedL2)
        {
            throw Invalid("Backing file and preallocation can only be used at the same time if extended_l2 is on");
        }

        if (options.BackingFile.Length == 0)
        {
            throw Invalid("Expected backing file name, got empty string");
        }

        if (options.BackingFormat is { } format && ByteText.ToBytes(format).Length > Qcow2Limits.MaxBackingFormatBytes)
        {
            throw Invalid($"the backing format's name is longer than {Qcow2Limits.MaxBackingFormatBytes} bytes");
        }
    }

    private static void CheckDataFile(Qcow2CreateOptions options)
    {
        if (options.DataFileRaw && options.DataFile is null)
        {
            throw Invalid("data-file-raw requires data-file");
        }

        if (options.DataFileRaw && options.BackingFile is not null)
        {
            throw Invalid("Backing file and data-file-raw cannot be used at the same time");
        }

        if (options.DataFile is not null && options.Version < 3)
        {
            throw Invalid("External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
    }

    private static void CheckVersion2(Qcow2CreateOptions options)
    {
        if (options.LazyRefcounts)
        {
            throw Invalid("Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (options.RefcountBits != 16)
        {
            throw Invalid("Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)");
        }

        if (options.Compression != Qcow2Compression.Zlib)
        {
            throw Invalid("Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (options.Zoned is not null)
        {
            throw Invalid(
                "a zoned image needs compatibility level 1.1: compat=0.10 has no feature bit that keeps other programs from writing it");
        }
    }

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);
}
