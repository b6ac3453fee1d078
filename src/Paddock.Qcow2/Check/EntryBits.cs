using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>Bits of L1 and L2 entries. The checker has its own, so that an error in the engine's does not hide itself.</summary>
internal static class EntryBits
{
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    public const ulong L1Reserved = 0x7f00_0000_0000_01ff;
    public const ulong L2Reserved = 0x3f00_0000_0000_01fe;
    public const ulong Copied = 1UL << 63;
    public const ulong Compressed = 1UL << 62;
    public const ulong ZeroFlag = 1;

    /// <summary>The offset bits of an entry that is not compressed.</summary>
    public static HostOffset OffsetOf(ulong entry) => new((long)(entry & OffsetMask));
}
