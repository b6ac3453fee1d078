using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Crypto.Luks;

namespace Paddock.Qcow2.Format;

/// <summary>
/// The header extension of an encrypted disk (qcow2 specification, "Full disk encryption header pointer"), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       8     offset of the LUKS header, a multiple of the cluster size
/// 8       8     its length with the key material
/// </code>
/// </summary>
internal readonly record struct EncryptionHeader
{
    private const int Size = 16;

    /// <param name="extension">The extension; null: the image has none.</param>
    /// <param name="clusterSize">Bytes in a cluster.</param>
    /// <exception cref="BlockException">Missing or invalid.</exception>
    public EncryptionHeader(HeaderExtension? extension, int clusterSize)
    {
        if (extension is null)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"Missing CRYPTO header for crypt method {Qcow2Header.EncryptionLuks}");
        }

        if (extension.Data.Length != Size)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"CRYPTO header extension size {extension.Data.Length}, but expected size {Size}");
        }

        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(extension.Data);
        ulong length = BinaryPrimitives.ReadUInt64BigEndian(extension.Data.AsSpan(sizeof(ulong)));
        if (offset % (uint)clusterSize != 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, $"Encryption header offset '{offset}' is not a multiple of cluster size '{clusterSize}'");
        }

        if (offset > Qcow2Limits.MaxHostOffset || length > Qcow2Limits.MaxEncryptionHeaderBytes)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"Encryption header at {offset} of {length} bytes: at most {Qcow2Limits.MaxEncryptionHeaderBytes} bytes below "
                    + $"{Qcow2Limits.MaxHostOffset} are possible");
        }

        (Offset, Length) = ((long)offset, (long)length);
    }

    /// <summary>Where the LUKS header is in the file.</summary>
    public long Offset { get; }

    /// <summary>Bytes of header and key material.</summary>
    public long Length { get; }

    /// <summary>The extension of a header at an offset.</summary>
    public static HeaderExtension Build(long offset, long length)
    {
        var data = new byte[Size];
        BinaryPrimitives.WriteInt64BigEndian(data, offset);
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(sizeof(long)), length);
        return new HeaderExtension(HeaderExtension.FullDiskEncryption, data);
    }

    /// <summary>The area in the image's storage.</summary>
    public LuksArea In(IStorage storage) => new(storage, Offset, Length);
}
