using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "Virtio device config space": the part to read or write, or that was read.
/// <code>
/// offset size
///      0    4  offset in configuration space
///      4    4  n, length in bytes
///      8    4  flags (1: a migration restores it)
///     12    n  contents; present but ignored in a read request
/// </code>
/// </summary>
/// <param name="Offset">Offset in configuration space.</param>
/// <param name="Length">Length in bytes.</param>
/// <param name="Flags">Purpose of the access.</param>
internal readonly record struct ConfigAccess(int Offset, int Length, uint Flags)
{
    private const int LengthAt = sizeof(uint);
    private const int FlagsAt = LengthAt + sizeof(uint);

    /// <summary>Offset of the contents.</summary>
    public const int ContentsAt = FlagsAt + sizeof(uint);

    /// <exception cref="VhostUserException">
    /// The range is beyond <see cref="VhostUserLimits.ConfigSpace"/>, or differs in length from the payload.
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

    /// <summary>Writes everything but the contents.</summary>
    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to, Offset);
        BinaryPrimitives.WriteInt32LittleEndian(to[LengthAt..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[FlagsAt..], Flags);
    }
}
