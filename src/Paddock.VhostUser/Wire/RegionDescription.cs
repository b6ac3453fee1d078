using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// One region of a guest's memory, as in memory tables and in "Single memory region description".
/// <code>
/// offset size
///      0    8  guest physical address
///      8    8  length in bytes
///     16    8  address in the front end's process
///     24    8  offset in the file that accompanies the message
/// </code>
/// </summary>
/// <param name="GuestAddress">Guest physical address of its first byte.</param>
/// <param name="Length">Length in bytes, at least 1.</param>
/// <param name="UserAddress">The front end's address of the same byte.</param>
/// <param name="FileOffset">Offset in its file.</param>
internal readonly record struct RegionDescription(ulong GuestAddress, ulong Length, ulong UserAddress, ulong FileOffset)
{
    private const int LengthAt = sizeof(ulong);
    private const int UserAddressAt = LengthAt + sizeof(ulong);
    private const int FileOffsetAt = UserAddressAt + sizeof(ulong);

    /// <summary>Size in bytes.</summary>
    public const int Size = FileOffsetAt + sizeof(ulong);

    /// <exception cref="VhostUserException">The region is empty, too long, or wraps around.</exception>
    public static RegionDescription Parse(ReadOnlySpan<byte> from)
    {
        var region = new RegionDescription(
            BinaryPrimitives.ReadUInt64LittleEndian(from),
            BinaryPrimitives.ReadUInt64LittleEndian(from[LengthAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[UserAddressAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[FileOffsetAt..]));
        if (region.Length is 0 or > VhostUserLimits.LongestRegion)
        {
            throw new VhostUserException(nameof(RegionDescription), LengthAt, $"a region of {region.Length} bytes");
        }

        ulong last = ulong.MaxValue - region.Length;
        return region.GuestAddress <= last && region.UserAddress <= last && region.FileOffset <= long.MaxValue - region.Length
            ? region
            : throw new VhostUserException(nameof(RegionDescription), 0, "a region that wraps around");
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, GuestAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(to[LengthAt..], Length);
        BinaryPrimitives.WriteUInt64LittleEndian(to[UserAddressAt..], UserAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(to[FileOffsetAt..], FileOffset);
    }
}
