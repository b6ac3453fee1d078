using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "A vring state description": a size, a base, or whether a ring is enabled.
/// <code>
/// offset size
///      0    4  ring
///      4    4  number
/// </code>
/// </summary>
/// <param name="Ring">The ring's number, unchecked.</param>
/// <param name="Number">Size, base or enabled state.</param>
internal readonly record struct VringState(uint Ring, uint Number)
{
    private const int NumberAt = sizeof(uint);

    /// <summary>Size in bytes.</summary>
    public const int Size = NumberAt + sizeof(uint);

    public static VringState Parse(ReadOnlySpan<byte> from)
    {
        VhostUserException.ExpectLength(nameof(VringState), Size, from.Length);
        return new VringState(BinaryPrimitives.ReadUInt32LittleEndian(from), BinaryPrimitives.ReadUInt32LittleEndian(from[NumberAt..]));
    }

    public void WriteTo(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Ring);
        BinaryPrimitives.WriteUInt32LittleEndian(to[NumberAt..], Number);
    }
}
