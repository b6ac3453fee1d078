using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "Virtio device config space": a part of it that is asked for, given, or to be written.
/// <code>
/// offset size
///      0    4  where it begins in configuration space
///      4    4  n, its bytes
///      8    4  flags (1: a migration restores it)
///     12    n  its contents; also there, of no meaning, in a request for them
/// </code>
/// </summary>
/// <param name="Offset">Where it begins.</param>
/// <param name="Length">Its bytes.</param>
/// <param name="Flags">Why.</param>
internal readonly record struct ConfigAccess(int Offset, int Length, uint Flags)
{
    private const int LengthAt = sizeof(uint);
    private const int FlagsAt = LengthAt + sizeof(uint);

    /// <summary>Where the contents stand.</summary>
    public const int ContentsAt = FlagsAt + sizeof(uint);

    /// <exception cref="VhostUserException">
    /// It lies beyond <see cref="VhostUserLimits.ConfigSpace"/>, or is shorter or longer than it says.
    /// </exception>
    public static ConfigAccess Parse(ReadOnlySpan<byte> from)
    {
        if (from.Length < ContentsAt)
        {
            throw new VhostUserException(nameof(ConfigAccess), 0, $"{from.Length} bytes came where at least {ContentsAt} must");
        }

        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(from);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(from[LengthAt..]);
        if (offset > VhostUserLimits.ConfigSpace || length > VhostUserLimits.ConfigSpace - offset)
        {
            throw new VhostUserException(
                nameof(ConfigAccess), 0, $"{length} bytes at {offset} of a space of {VhostUserLimits.ConfigSpace}");
        }

        VhostUserException.ExpectLength(nameof(ConfigAccess), ContentsAt + (int)length, from.Length);
        return new ConfigAccess((int)offset, (int)length, BinaryPrimitives.ReadUInt32LittleEndian(from[FlagsAt..]));
    }

    /// <summary>Writes all but the contents.</summary>
    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to, Offset);
        BinaryPrimitives.WriteInt32LittleEndian(to[LengthAt..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], Flags);
    }
}
