using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Reads and validates the first cluster of an image, and refuses features that are not supported, before anything is written.
/// </summary>
internal static class HeaderReader
{
    private const IncompatibleFeatures Known =
        IncompatibleFeatures.Dirty | IncompatibleFeatures.Corrupt | IncompatibleFeatures.ExternalDataFile
        | IncompatibleFeatures.CompressionType | IncompatibleFeatures.ExtendedL2 | IncompatibleFeatures.Zoned
        | IncompatibleFeatures.ZoneData;

    /// <summary>Reads and validates the header.</summary>
    public static async ValueTask<LoadedHeader> ReadAsync(IStorage storage, CancellationToken cancellationToken)
    {
        var first = new byte[512];
        await storage.ReadAsync(0, first, cancellationToken);
        var header = Qcow2Header.Parse(first);
        ValidateOrRefuseFeatures(header, first);
        first = new byte[header.Geometry.ClusterSize];
        await storage.ReadAsync(0, first, cancellationToken);
        int start = header.Version == 2 ? Qcow2Header.SizeV2 : (int)header.HeaderLength;
        int end = header.BackingOffset == 0 ? first.Length : (int)header.BackingOffset;
        var extensions = start <= end ? HeaderExtension.ParseAll(first.AsSpan(start, end - start)) : [];
        string? backing = header.BackingOffset == 0
            ? null
            : ByteText.FromBytes(first.AsSpan((int)header.BackingOffset, (int)header.BackingLength));
        return new LoadedHeader(header, extensions, backing);
    }

    /// <summary>Refuses an image whose features forbid what is intended.</summary>
    public static void CheckFeatures(LoadedHeader loaded, bool writable)
    {
        var header = loaded.Fields;
        if ((header.Incompatible & ~Known) != 0)
        {
            RefuseFeatures(header, loaded.Extensions.Find(static e => e.Type == HeaderExtension.FeatureNames)?.Data ?? []);
        }

        if (writable && (header.Incompatible & IncompatibleFeatures.Corrupt) != 0)
        {
            throw new BlockException(BlockError.ReadOnly, "qcow2: Image is corrupt; cannot be opened read/write");
        }

        if (header.CompressionType > 1)
        {
            throw new BlockException(BlockError.NotSupported, $"qcow2: unknown compression type: {header.CompressionType}");
        }

        bool flagged = (header.Incompatible & IncompatibleFeatures.CompressionType) != 0;
        if (flagged != (header.CompressionType != 0))
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"qcow2: Compression type incompatible feature bit must {(flagged ? "not " : "")}be set");
        }

        if (header.RefcountTableClusters == 0)
        {
            throw new BlockException(BlockError.InvalidArgument, "Image does not contain a reference count table");
        }
    }

    // an unknown feature may change the meaning of any field: it is the better message when a field looks wrong too
    private static void ValidateOrRefuseFeatures(Qcow2Header header, byte[] first)
    {
        try
        {
            header.Validate();
        }
        catch (BlockException) when ((header.Incompatible & ~Known) != 0 && header.HeaderLength < first.Length)
        {
            RefuseFeatures(header, []);
            throw;
        }
    }

    private static void RefuseFeatures(Qcow2Header header, byte[] names)
        => throw new BlockException(
            BlockError.NotSupported,
            "Unsupported qcow2 feature(s): " + FeatureNameTable.Describe(
                names.Length == 0 ? FeatureNameTable.Build(zoned: true) : names, 0, (ulong)(header.Incompatible & ~Known)));
}

/// <summary>What the first cluster of an image has.</summary>
/// <param name="Fields">The header.</param>
/// <param name="Extensions">Its extensions.</param>
/// <param name="BackingName">The backing file's name; null without one.</param>
internal sealed record LoadedHeader(Qcow2Header Fields, List<HeaderExtension> Extensions, string? BackingName)
{
    /// <summary>Format of the backing file; null where the image does not tell.</summary>
    public string? BackingFormat
        => Extensions.FindLast(static e => e.Type == HeaderExtension.BackingFormat) is { } e ? ByteText.FromBytes(e.Data) : null;

    /// <summary>Name of the external data file; null where the image does not tell.</summary>
    public string? DataFileName => DataFileNameIn(Extensions);

    /// <summary>The same in a list of extensions: up to a zero byte, as in QEMU.</summary>
    public static string? DataFileNameIn(List<HeaderExtension> extensions)
        => extensions.FindLast(static e => e.Type == HeaderExtension.ExternalDataFile) is not { Data: var name } ? null
            : ByteText.FromBytes(name.AsSpan(0, name.AsSpan().IndexOf((byte)0) is >= 0 and var end ? end : name.Length));
}
