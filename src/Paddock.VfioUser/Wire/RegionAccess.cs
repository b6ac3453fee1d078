using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// An access to a region ("VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE"): the reply of a read and a write have data after it.
/// <code>
/// offset size
///      0    8  offset in the region
///      8    4  index of the region
///     12    4  bytes of data
/// </code>
/// </summary>
/// <param name="Offset">Offset in the region.</param>
/// <param name="Region">Index of the region.</param>
/// <param name="Count">Bytes of data.</param>
internal readonly record struct RegionAccess(ulong Offset, uint Region, uint Count)
{
    private const int RegionAt = sizeof(ulong);
    private const int CountAt = RegionAt + sizeof(uint);

    /// <summary>Size in bytes without data.</summary>
    public const int Size = CountAt + sizeof(uint);

    /// <summary>Reads a request or a reply; the caller checks offset and count against the region.</summary>
    /// <exception cref="RequestFailedException">Too short.</exception>
    public static RegionAccess Parse(Command command, ReadOnlySpan<byte> from)
    {
        Payload.ExpectLeast(command, Size, from.Length);
        return new RegionAccess(
            BinaryPrimitives.ReadUInt64LittleEndian(from),
            BinaryPrimitives.ReadUInt32LittleEndian(from[RegionAt..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[CountAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(to[RegionAt..], Region);
        BinaryPrimitives.WriteUInt32LittleEndian(to[CountAt..], Count);
    }
}
