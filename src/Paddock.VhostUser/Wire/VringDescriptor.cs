namespace Paddock.VhostUser.Wire;

/// <summary>
/// Payload of SET_VRING_KICK, CALL and ERR, beside the file descriptor.
/// <code>
/// bits of a 64-bit integer
///   0..7  ring
///      8  no file descriptor: the ring is polled, or nobody is notified
/// </code>
/// </summary>
/// <param name="Ring">The ring's number.</param>
/// <param name="HasDescriptor">Whether a file descriptor accompanies the message.</param>
internal readonly record struct VringDescriptor(int Ring, bool HasDescriptor)
{
    private const ulong RingMask = 0xff;
    private const ulong NoDescriptor = 1 << 8;

    public static VringDescriptor Parse(ReadOnlySpan<byte> from)
    {
        ulong value = U64Payload.Parse(from);
        return (value & ~(RingMask | NoDescriptor)) == 0
            ? new VringDescriptor((int)(value & RingMask), (value & NoDescriptor) == 0)
            : throw new VhostUserException(nameof(VringDescriptor), 0, $"unknown bits in 0x{value:x}");
    }

    public void WriteTo(Span<byte> to) => U64Payload.Write(to, (uint)Ring | (HasDescriptor ? 0 : NoDescriptor));
}
