using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The header (qcow2 specification, "Header"), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     magic "QFI\xfb"
/// 4       4     version, 2 or 3
/// 8       8     offset of the backing file's name; 0: none
/// 16      4     its length in bytes
/// 20      4     cluster bits
/// 24      8     virtual size in bytes
/// 32      4     encryption method, 0: none
/// 36      4     entries in the active L1 table
/// 40      8     offset of the active L1 table
/// 48      8     offset of the refcount table
/// 56      4     clusters of the refcount table
/// 60      4     number of snapshots
/// 64      8     offset of the snapshot table
///               version 3 only:
/// 72      8     incompatible features
/// 80      8     compatible features
/// 88      8     autoclear features
/// 96      4     refcount order
/// 100     4     header length
/// 104     1     compression type
/// 105     7     padding
/// </code>
/// </summary>
internal sealed record Qcow2Header
{
    public const uint Magic = 0x514649fb;
    public const int SizeV2 = 72;
    public const int SizeV3 = 112;

    /// <summary>Encryption method of QEMU's first encrypted images.</summary>
    public const uint EncryptionAes = 1;

    /// <summary>Encryption method of images with a LUKS header (<see cref="HeaderExtension.FullDiskEncryption"/>).</summary>
    public const uint EncryptionLuks = 2;
    private const int MinLengthV3 = 104;
    private const uint DefaultRefcountOrder = 4;

    public required uint Version { get; init; }

    public ulong BackingOffset { get; init; }

    public uint BackingLength { get; init; }

    public required uint ClusterBits { get; init; }

    public required ulong VirtualSize { get; init; }

    public uint EncryptionMethod { get; init; }

    public uint L1Entries { get; init; }

    public ulong L1Offset { get; init; }

    public ulong RefcountTableOffset { get; init; }

    public uint RefcountTableClusters { get; init; }

    public uint SnapshotCount { get; init; }

    public ulong SnapshotTableOffset { get; init; }

    public IncompatibleFeatures Incompatible { get; init; }

    public CompatibleFeatures Compatible { get; init; }

    public AutoclearFeatures Autoclear { get; init; }

    public uint RefcountOrder { get; init; } = DefaultRefcountOrder;

    public uint HeaderLength { get; init; } = SizeV3;

    public byte CompressionType { get; init; }

    /// <summary>Cluster size, refcount width and size of L2 entries; valid after <see cref="Validate"/>.</summary>
    public ClusterGeometry Geometry => new(
        (int)ClusterBits, (int)RefcountOrder,
        (Incompatible & IncompatibleFeatures.ExtendedL2) != 0 ? ClusterGeometry.ExtendedEntryBits : ClusterGeometry.StandardEntryBits);

    /// <summary>How the disk is encrypted; null: it is not.</summary>
    public string? EncryptionName => EncryptionMethod switch { 0 => null, EncryptionLuks => "LUKS", _ => "AES" };

    /// <summary>True when the bytes begin with the magic.</summary>
    public static bool HasMagic(ReadOnlySpan<byte> bytes) => bytes.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(bytes) == Magic;

    /// <summary>Reads the fields; at least <see cref="SizeV3"/> bytes must be given. Nothing but magic and version is checked.</summary>
    public static Qcow2Header Parse(ReadOnlySpan<byte> bytes)
    {
        if (!HasMagic(bytes))
        {
            throw new BlockException(BlockError.InvalidArgument, "Image is not in qcow2 format");
        }

        uint version = U32(bytes, 4);
        if (version is < 2 or > 3)
        {
            throw new BlockException(BlockError.NotSupported, $"Unsupported qcow2 version {version}");
        }

        var header = new Qcow2Header
        {
            Version = version,
            BackingOffset = U64(bytes, 8),
            BackingLength = U32(bytes, 16),
            ClusterBits = U32(bytes, 20),
            VirtualSize = U64(bytes, 24),
            EncryptionMethod = U32(bytes, 32),
            L1Entries = U32(bytes, 36),
            L1Offset = U64(bytes, 40),
            RefcountTableOffset = U64(bytes, 48),
            RefcountTableClusters = U32(bytes, 56),
            SnapshotCount = U32(bytes, 60),
            SnapshotTableOffset = U64(bytes, 64),
            HeaderLength = SizeV2,
        };
        return version == 2
            ? header
            : header with
            {
                Incompatible = (IncompatibleFeatures)U64(bytes, 72),
                Compatible = (CompatibleFeatures)U64(bytes, 80),
                Autoclear = (AutoclearFeatures)U64(bytes, 88),
                RefcountOrder = U32(bytes, 96),
                HeaderLength = U32(bytes, 100),
                CompressionType = U32(bytes, 100) > MinLengthV3 ? bytes[104] : (byte)0,
            };
    }

    /// <summary>Writes the fields; returns how many bytes they take.</summary>
    public int WriteTo(Span<byte> bytes)
    {
        Put32(bytes, 0, Magic);
        Put32(bytes, 4, Version);
        Put64(bytes, 8, BackingOffset);
        Put32(bytes, 16, BackingLength);
        Put32(bytes, 20, ClusterBits);
        Put64(bytes, 24, VirtualSize);
        Put32(bytes, 32, EncryptionMethod);
        Put32(bytes, 36, L1Entries);
        Put64(bytes, 40, L1Offset);
        Put64(bytes, 48, RefcountTableOffset);
        Put32(bytes, 56, RefcountTableClusters);
        Put32(bytes, 60, SnapshotCount);
        Put64(bytes, 64, SnapshotTableOffset);
        if (Version == 2)
        {
            return SizeV2;
        }

        Put64(bytes, 72, (ulong)Incompatible);
        Put64(bytes, 80, (ulong)Compatible);
        Put64(bytes, 88, (ulong)Autoclear);
        Put32(bytes, 96, RefcountOrder);
        Put32(bytes, 100, HeaderLength);
        if (HeaderLength <= MinLengthV3)
        {
            return MinLengthV3;
        }

        bytes[104] = CompressionType;
        return MinLengthV3 + 1;
    }

    /// <summary>Checks every claim against its limit (see <see cref="Qcow2Limits"/>), except for the feature bits.</summary>
    public void Validate()
    {
        if (ClusterBits is < Qcow2Limits.MinClusterBits or > Qcow2Limits.MaxClusterBits)
        {
            throw Invalid($"Unsupported cluster size: 2^{ClusterBits}");
        }

        int clusterSize = 1 << (int)ClusterBits;
        if (Version == 3 && HeaderLength < MinLengthV3)
        {
            throw Invalid("qcow2 header too short");
        }

        if (HeaderLength > clusterSize)
        {
            throw Invalid("qcow2 header exceeds cluster size");
        }

        if (Geometry.SubclusterBits < Qcow2Limits.MinClusterBits)
        {
            throw Invalid($"Unsupported subcluster size: {Geometry.SubclusterSize}");
        }

        if (HeaderLength % 8 != 0)
        {
            throw Invalid($"qcow2 header length {HeaderLength} is no multiple of 8");
        }

        if (BackingOffset > (ulong)clusterSize)
        {
            throw Invalid("Invalid backing file offset");
        }

        if (RefcountOrder > Qcow2Limits.MaxRefcountOrder)
        {
            throw Invalid("Reference count entry width too large; may not exceed 64 bits");
        }

        if (EncryptionMethod > EncryptionLuks)
        {
            throw Invalid($"Unsupported encryption method {(int)EncryptionMethod}");
        }

        ValidateTables(clusterSize);
        if (BackingOffset != 0 && BackingLength > Math.Min(Qcow2Limits.MaxBackingNameBytes, (uint)clusterSize - (uint)BackingOffset))
        {
            throw Invalid("Backing file name too long");
        }
    }

    /// <summary>Checks where the snapshot table lies, and how long it is; a check of the image reports that by itself.</summary>
    public void ValidateSnapshotTable()
    {
        if (SnapshotCount > Qcow2Limits.MaxSnapshots)
        {
            throw new BlockException(BlockError.TooLarge, "Snapshot table too large");
        }

        // each entry is at least its fixed part long
        CheckTable(
            "Snapshot table", SnapshotTableOffset, (long)SnapshotCount * SnapshotHeader.Size, Qcow2Limits.MaxSnapshotTableBytes,
            Geometry.ClusterSize);
    }

    private void ValidateTables(int clusterSize)
    {
        CheckTable(
            "Reference count table",
            RefcountTableOffset,
            (long)RefcountTableClusters << (int)ClusterBits,
            Qcow2Limits.MaxRefcountTableBytes,
            clusterSize);
        CheckTable("Active L1 table", L1Offset, (long)L1Entries * 8, Qcow2Limits.MaxL1Bytes, clusterSize);
        if (VirtualSize > long.MaxValue || Geometry.L1EntriesFor((long)VirtualSize) > int.MaxValue)
        {
            throw new BlockException(BlockError.TooLarge, "Image is too big");
        }

        if (L1Entries < Geometry.L1EntriesFor((long)VirtualSize))
        {
            throw Invalid("L1 table is too small");
        }
    }

    private static void CheckTable(string name, ulong offset, long bytes, long maxBytes, int clusterSize)
    {
        if (bytes > maxBytes)
        {
            throw new BlockException(BlockError.TooLarge, $"{name} too large");
        }

        if (offset > (ulong)(long.MaxValue - bytes) || (offset & (ulong)(clusterSize - 1)) != 0)
        {
            throw Invalid($"{name} offset invalid");
        }
    }

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64BigEndian(bytes[at..]);

    private static void Put32(Span<byte> bytes, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(bytes[at..], value);

    private static void Put64(Span<byte> bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(bytes[at..], value);
}
