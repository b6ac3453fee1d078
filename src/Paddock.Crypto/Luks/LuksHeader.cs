using System.Buffers.Binary;
using System.Text;
using Paddock.Block;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Luks;

/// <summary>
/// The header of a LUKS disk, version 1 (LUKS on-disk format 1.2.3, figure 1), big-endian:
/// <code>
/// OFFSET  SIZE  MEANING
/// 0       6     magic "LUKS\xba\xbe"
/// 6       2     version, 1
/// 8       32    name of the cipher, ended by a zero byte
/// 40      32    mode and generator of initialization vectors, ended by a zero byte
/// 72      32    hash, ended by a zero byte
/// 104     4     first sector of the data
/// 108     4     bytes in the key
/// 112     20    digest of the key
/// 132     32    salt of the digest
/// 164     4     PBKDF2 iterations of the digest
/// 168     40    UUID as text
/// 208     8*48  key slots (<see cref="KeySlot"/>)
/// </code>
/// </summary>
internal sealed record LuksHeader
{
    public const int Size = SlotsOffset + (SlotCount * KeySlot.Size);
    public const int SlotCount = 8;
    public const int DigestBytes = 20;

    /// <summary>First sector of the key material of the first slot.</summary>
    public const int HeadSectors = 8;

    private const int SlotsOffset = 208;
    private const int NameBytes = 32;
    private const int UuidBytes = 40;
    private const ushort SupportedVersion = 1;

    public ushort Version { get; init; } = SupportedVersion;

    public required string CipherName { get; init; }

    public required string CipherMode { get; init; }

    public required string HashName { get; init; }

    public uint PayloadSector { get; init; }

    public uint KeyBytes { get; init; }

    public byte[] KeyDigest { get; init; } = new byte[DigestBytes];

    public byte[] DigestSalt { get; init; } = new byte[KeySlot.SaltBytes];

    public uint DigestIterations { get; init; }

    public required string Uuid { get; init; }

    public KeySlot[] Slots { get; init; } = [];

    /// <summary>The cipher; valid after <see cref="Parse"/>.</summary>
    public CipherSpec Cipher => CipherSpec.Parse(CipherName, CipherMode, (int)KeyBytes);

    /// <summary>The hash of keys; valid after <see cref="Parse"/>.</summary>
    public HashKind Hash => CipherNames.FindHash(HashName)
        ?? throw new BlockException(BlockError.NotSupported, $"Hash algorithm '{EscapedText.Escape(HashName)}' not supported");

    /// <summary>Where the data begin, in bytes; 0 if they are in another file.</summary>
    public long PayloadOffset => (long)PayloadSector * SectorCipher.SectorBytes;

    private static ReadOnlySpan<byte> Magic => [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe];

    /// <summary>Where a slot is in the header.</summary>
    public static int OffsetOf(int slot) => SlotsOffset + (slot * KeySlot.Size);

    /// <summary>Whether bytes begin like a LUKS disk of a version that is supported.</summary>
    public static bool HasMagic(ReadOnlySpan<byte> bytes)
        => bytes.StartsWith(Magic) && BinaryPrimitives.ReadUInt16BigEndian(bytes[Magic.Length..]) == SupportedVersion;

    /// <summary>Reads a header and validates every field.</summary>
    /// <param name="bytes">The header: <see cref="Size"/> bytes.</param>
    /// <param name="isDetached">Whether the data are in another file.</param>
    /// <exception cref="BlockException">Not a LUKS header, an unknown algorithm, or a field beyond its limit.</exception>
    public static LuksHeader Parse(ReadOnlySpan<byte> bytes, bool isDetached = false)
    {
        if (!bytes.StartsWith(Magic))
        {
            throw Invalid("Volume is not in LUKS format");
        }

        ushort version = BinaryPrimitives.ReadUInt16BigEndian(bytes[Magic.Length..]);
        if (version != SupportedVersion)
        {
            throw new BlockException(BlockError.NotSupported, $"LUKS version {version} is not supported");
        }

        var slots = new KeySlot[SlotCount];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = KeySlot.Parse(bytes[OffsetOf(i)..]);
        }

        var header = new LuksHeader
        {
            CipherName = Name(bytes[8..], "cipher name"),
            CipherMode = Name(bytes[40..], "cipher mode"),
            HashName = Name(bytes[72..], "hash spec"),
            PayloadSector = BinaryPrimitives.ReadUInt32BigEndian(bytes[104..]),
            KeyBytes = BinaryPrimitives.ReadUInt32BigEndian(bytes[108..]),
            KeyDigest = bytes.Slice(112, DigestBytes).ToArray(),
            DigestSalt = bytes.Slice(132, KeySlot.SaltBytes).ToArray(),
            DigestIterations = BinaryPrimitives.ReadUInt32BigEndian(bytes[164..]),
            Uuid = Text(bytes.Slice(168, UuidBytes)),
            Slots = slots,
        };
        header.Validate(isDetached);
        return header;
    }

    /// <summary>Writes the header.</summary>
    public void WriteTo(Span<byte> bytes)
    {
        bytes[..Size].Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[Magic.Length..], Version);
        Encoding.UTF8.GetBytes(CipherName, bytes[8..]);
        Encoding.UTF8.GetBytes(CipherMode, bytes[40..]);
        Encoding.UTF8.GetBytes(HashName, bytes[72..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[104..], PayloadSector);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[108..], KeyBytes);
        KeyDigest.CopyTo(bytes[112..]);
        DigestSalt.CopyTo(bytes[132..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[164..], DigestIterations);
        Encoding.UTF8.GetBytes(Uuid, bytes[168..]);
        for (int i = 0; i < SlotCount; i++)
        {
            Slots[i].WriteTo(bytes[OffsetOf(i)..]);
        }
    }

    private void Validate(bool isDetached)
    {
        if (!isDetached && PayloadSector < HeadSectors)
        {
            throw Invalid("LUKS payload is overlapping with the header");
        }

        if (DigestIterations == 0)
        {
            throw Invalid("LUKS key iteration count is zero");
        }

        for (int i = 0; i < SlotCount; i++)
        {
            ValidateSlot(i, isDetached);
        }

        // the names and the key size are known before anything is computed with them
        Cipher.Validate();
        _ = Hash;
    }

    private void ValidateSlot(int index, bool isDetached)
    {
        var slot = Slots[index];
        if (slot.StripeCount != KeySlot.Stripes)
        {
            throw Invalid($"Keyslot {index} is corrupted (stripes {(int)slot.StripeCount} != {KeySlot.Stripes})");
        }

        if (slot.State is not (KeySlot.Active or KeySlot.Inactive))
        {
            throw Invalid($"Keyslot {index} state (active/disable) is corrupted");
        }

        if (slot.IsActive && slot.Iterations == 0)
        {
            throw Invalid($"Keyslot {index} iteration count is zero");
        }

        if (slot.FirstSector < HeadSectors)
        {
            throw Invalid($"Keyslot {index} is overlapping with the LUKS header");
        }

        long end = slot.FirstSector + KeySlot.MaterialSectors(KeyBytes, slot.StripeCount);
        if (!isDetached && end > PayloadSector)
        {
            throw Invalid($"Keyslot {index} is overlapping with the encrypted payload");
        }

        for (int other = index + 1; other < SlotCount; other++)
        {
            long start = Slots[other].FirstSector;
            if (end > start && start + KeySlot.MaterialSectors(KeyBytes, Slots[other].StripeCount) > slot.FirstSector)
            {
                throw Invalid($"Keyslots {index} and {other} are overlapping in the header");
            }
        }
    }

    private static string Name(ReadOnlySpan<byte> bytes, string what)
        => bytes[..NameBytes].Contains((byte)0) ? Text(bytes[..NameBytes]) : throw Invalid($"LUKS header {what} is not NUL terminated");

    private static string Text(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        return ByteText.FromBytes(end < 0 ? bytes : bytes[..end]);
    }

    private static BlockException Invalid(string message) => new(BlockError.InvalidArgument, message);
}
