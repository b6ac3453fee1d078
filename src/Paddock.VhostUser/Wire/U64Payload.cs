using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "A single 64-bit integer": feature bits, a status, a count, an acknowledgement.
/// <code>
/// offset size
///      0    8  number
/// </code>
/// </summary>
internal static class U64Payload
{
    /// <summary>Size in bytes.</summary>
    public const int Size = sizeof(ulong);

    public static ulong Parse(ReadOnlySpan<byte> from)
    {
        VhostUserException.ExpectLength(nameof(U64Payload), Size, from.Length);
        return BinaryPrimitives.ReadUInt64LittleEndian(from);
    }

    public static void Write(Span<byte> to, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(to, value);
}
