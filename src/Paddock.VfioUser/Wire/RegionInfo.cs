using System.Buffers.Binary;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// A region of the device ("VFIO_USER_DEVICE_GET_REGION_INFO"), with one area that the client may map, if there is one.
/// <code>
/// offset size
///      0    4  maximum size of the reply's payload; in the reply, the size that a complete one needs
///      4    4  flags
///      8    4  index
///     12    4  offset of the capability below, from the start of this structure; 0: none
///     16    8  length of the region in bytes
///     24    8  offset in the file that accompanies the reply
///     32    2  1: areas to map (VFIO_REGION_INFO_CAP_SPARSE_MMAP)
///     34    2  1: its version
///     36    4  0: no other capability
///     40    4  1: number of areas
///     44    4  reserved
///     48    8  offset of the area in the region
///     56    8  length of the area in bytes
/// </code>
/// </summary>
/// <param name="Flags">Flags.</param>
/// <param name="Index">Index of the region.</param>
/// <param name="Length">Length in bytes.</param>
/// <param name="AreaOffset">Offset of the area to map.</param>
/// <param name="AreaLength">Length of the area to map in bytes; 0: none.</param>
internal readonly record struct RegionInfo(RegionFlags Flags, uint Index, ulong Length, ulong AreaOffset = 0, ulong AreaLength = 0)
{
    private const ushort AreasCapability = 1, AreasVersion = 1;
    private const int FlagsAt = sizeof(uint);
    private const int IndexAt = FlagsAt + sizeof(uint);
    private const int CapabilityOffsetAt = IndexAt + sizeof(uint);
    private const int LengthAt = CapabilityOffsetAt + sizeof(uint);
    private const int FileOffsetAt = LengthAt + sizeof(ulong);
    private const int CapabilityAt = FileOffsetAt + sizeof(ulong);
    private const int VersionAt = CapabilityAt + sizeof(ushort);
    private const int NextAt = VersionAt + sizeof(ushort);
    private const int AreasAt = NextAt + sizeof(uint);
    private const int AreaOffsetAt = AreasAt + (2 * sizeof(uint));
    private const int AreaLengthAt = AreaOffsetAt + sizeof(ulong);

    /// <summary>Size in bytes without the capability.</summary>
    public const int Size = CapabilityAt;

    /// <summary>Size in bytes with the capability.</summary>
    public const int FullSize = AreaLengthAt + sizeof(ulong);

    /// <summary>Whether the client may map a part of the region.</summary>
    public bool HasArea => AreaLength > 0;

    /// <summary>Reads a request.</summary>
    /// <returns>Index of the region and maximum size of the reply's payload.</returns>
    /// <exception cref="RequestFailedException">Another size, no room for the reply, or no such region.</exception>
    public static (uint Index, uint Room) ParseRequest(ReadOnlySpan<byte> from)
    {
        // QEMU asks again with the size of the complete reply, and with as many bytes
        Payload.ExpectLeast(Command.GetRegionInfo, Size, from.Length);
        uint room = BinaryPrimitives.ReadUInt32LittleEndian(from), index = BinaryPrimitives.ReadUInt32LittleEndian(from[IndexAt..]);
        Payload.ExpectArguments(Command.GetRegionInfo, Size, room);
        return index < RegionIndex.Count ? (index, room)
            : throw new RequestFailedException(
                ErrorNumber.Invalid, $"region {index} does not exist: expected 0 to {RegionIndex.Count - 1}");
    }

    /// <summary>Reads a reply.</summary>
    /// <returns>The region, and the size that a complete reply needs.</returns>
    public static (RegionInfo Info, uint Needs) ParseReply(ReadOnlySpan<byte> from)
    {
        var flags = (RegionFlags)BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]);
        bool hasArea = (flags & RegionFlags.Capabilities) != 0;
        return (
            new RegionInfo(
                flags, BinaryPrimitives.ReadUInt32LittleEndian(from[IndexAt..]), BinaryPrimitives.ReadUInt64LittleEndian(from[LengthAt..]),
                hasArea ? BinaryPrimitives.ReadUInt64LittleEndian(from[AreaOffsetAt..]) : 0,
                hasArea ? BinaryPrimitives.ReadUInt64LittleEndian(from[AreaLengthAt..]) : 0),
            BinaryPrimitives.ReadUInt32LittleEndian(from));
    }

    /// <summary>
    /// Writes a reply. One without room for the capability has neither it nor the flags that announce it: QEMU rejects a device whose flags
    /// announce a capability that is missing, and asks again when the first field is larger than the room that it gave.
    /// </summary>
    /// <param name="to">The reply, of zeroes.</param>
    /// <param name="room">Maximum size of the reply.</param>
    /// <returns>Size of the reply.</returns>
    public int WriteTo(Span<byte> to, uint room)
    {
        bool isComplete = HasArea && room >= FullSize;
        var flags = isComplete ? Flags | RegionFlags.Map | RegionFlags.Capabilities : Flags;
        BinaryPrimitives.WriteUInt32LittleEndian(to, (uint)(HasArea ? FullSize : Size));
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], (uint)flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[IndexAt..], Index);
        BinaryPrimitives.WriteUInt64LittleEndian(to[LengthAt..], Length);
        if (!isComplete)
        {
            return Size;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(to[CapabilityOffsetAt..], CapabilityAt);
        BinaryPrimitives.WriteUInt16LittleEndian(to[CapabilityAt..], AreasCapability);
        BinaryPrimitives.WriteUInt16LittleEndian(to[VersionAt..], AreasVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(to[AreasAt..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(to[AreaOffsetAt..], AreaOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(to[AreaLengthAt..], AreaLength);
        return FullSize;
    }

    /// <summary>Writes a request.</summary>
    public static void WriteRequest(Span<byte> to, uint index, uint room)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, room);
        BinaryPrimitives.WriteUInt32LittleEndian(to[IndexAt..], index);
    }
}
