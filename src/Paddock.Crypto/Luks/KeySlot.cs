using System.Buffers.Binary;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>
/// A key slot of a LUKS header (LUKS on-disk format 1.2.3, figure 3), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       4     state: 0x00ac71f3 active, 0x0000dead inactive
/// 4       4     PBKDF2 iterations
/// 8       32    PBKDF2 salt
/// 40      4     first sector of the key material
/// 44      4     stripes of the anti-forensic splitter
/// </code>
/// </summary>
internal sealed record KeySlot
{
    public const int Size = 48;
    public const int StateBytes = 4;
    public const int SaltBytes = 32;
    public const uint Active = 0x00ac71f3;
    public const uint Inactive = 0x0000dead;

    /// <summary>Stripes that QEMU and cryptsetup write, and the only number that QEMU reads.</summary>
    public const int Stripes = 4000;

    /// <summary>Sectors that key material begins at a multiple of, as cryptsetup lays it out.</summary>
    private const int AlignmentSectors = 8;

    public uint State { get; init; } = Inactive;

    public uint Iterations { get; init; }

    public byte[] Salt { get; init; } = new byte[SaltBytes];

    public uint FirstSector { get; init; }

    public uint StripeCount { get; init; } = Stripes;

    /// <summary>Whether the slot holds the key of the disk.</summary>
    public bool IsActive => State == Active;

    /// <summary>Where the key material begins, in bytes from the header's start.</summary>
    public long MaterialOffset => (long)FirstSector * SectorCipher.SectorBytes;

    /// <summary>Bytes of key material, in whole sectors.</summary>
    public static int MaterialBytes(int keyBytes)
        => ((keyBytes * Stripes) + SectorCipher.SectorBytes - 1) / SectorCipher.SectorBytes * SectorCipher.SectorBytes;

    /// <summary>Sectors from one slot's key material to the next one's.</summary>
    public static long MaterialSectors(long keyBytes, long stripes)
    {
        long sectors = ((keyBytes * stripes) + SectorCipher.SectorBytes - 1) / SectorCipher.SectorBytes;
        return (sectors + AlignmentSectors - 1) / AlignmentSectors * AlignmentSectors;
    }

    public static KeySlot Parse(ReadOnlySpan<byte> bytes)
        => new()
        {
            State = BinaryPrimitives.ReadUInt32BigEndian(bytes),
            Iterations = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]),
            Salt = bytes.Slice(8, SaltBytes).ToArray(),
            FirstSector = BinaryPrimitives.ReadUInt32BigEndian(bytes[40..]),
            StripeCount = BinaryPrimitives.ReadUInt32BigEndian(bytes[44..]),
        };

    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes, State);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], Iterations);
        Salt.CopyTo(bytes[8..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[40..], FirstSector);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[44..], StripeCount);
    }
}
