using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Paddock.VhostUser.Rings;

/// <summary>
/// A descriptor of a split ring or of its indirect tables (virtio 1.2, 2.7.5), little-endian:
/// <code>
/// OFFSET SIZE MEANING
///      0    8 guest physical address
///      8    4 length in bytes
///     12    2 flags
///     14    2 next: index of the chain's next descriptor, with NEXT
/// </code>
/// and of a packed ring or of its indirect tables (2.8.13):
/// <code>
///      0    8 guest physical address
///      8    4 length in bytes
///     12    2 buffer id
///     14    2 flags
/// </code>
/// </summary>
/// <remarks>The driver may change it at any time: it is copied once, and only the copy is inspected.</remarks>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal readonly struct Descriptor
{
    /// <summary>Size of a descriptor in either layout.</summary>
    public const int Size = 16;

    /// <summary>Offset of the flags of a packed descriptor.</summary>
    public const int PackedFlagsOffset = 14;

    private readonly ushort _at12;
    private readonly ushort _at14;

    /// <summary>Creates a descriptor of a packed ring from its fields.</summary>
    public Descriptor(ulong address, uint length, ushort id, ushort flags)
    {
        (Address, Length) = (address, length);
        (_at12, _at14) = (id, flags);
    }

    private Descriptor(ulong address, ulong rest)
    {
        Address = address;
        Length = (uint)rest;
        (_at12, _at14) = ((ushort)(rest >> 32), (ushort)(rest >> 48));
    }

    /// <summary>Guest physical address.</summary>
    public ulong Address { get; }

    /// <summary>Bytes.</summary>
    public uint Length { get; }

    /// <summary>Flags, in a split ring.</summary>
    public DescriptorFlags SplitFlags => (DescriptorFlags)_at12;

    /// <summary>Index of the next one, in a split ring.</summary>
    public ushort Next => _at14;

    /// <summary>Buffer id, in a packed ring.</summary>
    public ushort Id => _at12;

    /// <summary>Flags, in a packed ring.</summary>
    public DescriptorFlags PackedFlags => (DescriptorFlags)_at14;

    /// <summary>Copies one out of shared memory, at any alignment.</summary>
    public static unsafe Descriptor Read(byte* from)
        => new(Unsafe.ReadUnaligned<ulong>(from), Unsafe.ReadUnaligned<ulong>(from + sizeof(ulong)));
}

/// <summary>Flags of descriptors; the last two only in packed rings.</summary>
[Flags]
internal enum DescriptorFlags : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The chain continues.</summary>
    Next = 1,

    /// <summary>The device writes here; without it, it reads.</summary>
    Write = 2,

    /// <summary>The buffer is a table of descriptors.</summary>
    Indirect = 4,

    /// <summary>Equal to the driver's wrap counter when available.</summary>
    Available = 1 << 7,

    /// <summary>Unequal to it when available, equal to the device's when used.</summary>
    Used = 1 << 15,
}
