using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>A command as laid out in a capsule or a submission queue (NVMe base 2.0, 3.3.3.1).</summary>
/// <remarks>
/// <code>
/// 0   1   OPC
/// 1   1   FUSE (1:0), PSDT (7:6): 00b, data by PRPs; 01b and 10b, by an SGL
/// 2   2   CID
/// 4   4   NSID; for fabrics commands byte 4 is FCTYPE
/// 8   16  CDW2, CDW3, MPTR
/// 24  16  SGL1: address or offset (8), length (4), reserved (3), type and subtype (1); or PRP1 (8), PRP2 (8)
/// 40  24  CDW10 to CDW15
/// </code>
/// </remarks>
internal readonly struct SubmissionEntry
{
    /// <summary>Bytes.</summary>
    public const int Size = 64;

    /// <summary>SGL type of data in the capsule: data block, subtype offset.</summary>
    public const byte InCapsule = 0x01;

    /// <summary>SGL type of data that moves in data PDUs: transport data block.</summary>
    public const byte InTransport = 0x5A;

    /// <summary>Operation code.</summary>
    public byte Opcode { get; init; }

    /// <summary>FUSE and PSDT.</summary>
    public byte Flags { get; init; }

    /// <summary>Command identifier, which the host chose.</summary>
    public ushort CommandId { get; init; }

    /// <summary>Namespace, or for a fabrics command its type in the low byte.</summary>
    public uint NamespaceId { get; init; }

    /// <summary>Address of the data, or their offset in the capsule: the first half of SGL1, or PRP1.</summary>
    public ulong DataAddress { get; init; }

    /// <summary>PRP2: an address of data, or of a list of addresses.</summary>
    public ulong Prp2 { get; init; }

    /// <summary>Bytes of data that SGL1 describes.</summary>
    public uint DataLength
    {
        get => (uint)Prp2;
        init => Prp2 = (Prp2 & ~(ulong)uint.MaxValue) | value;
    }

    /// <summary>Type and subtype of SGL1.</summary>
    public byte DataKind
    {
        get => (byte)(Prp2 >> 56);
        init => Prp2 = (Prp2 & (ulong.MaxValue >> 8)) | ((ulong)value << 56);
    }

    /// <summary>Command dword 10.</summary>
    public uint Dword10 { get; init; }

    /// <summary>Command dword 11.</summary>
    public uint Dword11 { get; init; }

    /// <summary>Command dword 12.</summary>
    public uint Dword12 { get; init; }

    /// <summary>Command dword 13.</summary>
    public uint Dword13 { get; init; }

    /// <summary>Command dword 14.</summary>
    public uint Dword14 { get; init; }

    /// <summary>Command dword 15.</summary>
    public uint Dword15 { get; init; }

    /// <summary>First logical block: dwords 10 and 11.</summary>
    public ulong StartingLba => Dword10 | ((ulong)Dword11 << 32);

    /// <summary>Number of logical blocks: dword 12, 0's based.</summary>
    public int BlockCount => (int)(Dword12 & 0xFFFF) + 1;

    /// <summary>Whether the data must be durable when the command completes: dword 12, bit 30.</summary>
    public bool ForceUnitAccess => (Dword12 & (1u << 30)) != 0;

    /// <summary>The kind of a fabrics command.</summary>
    public byte FabricsType => (byte)NamespaceId;

    /// <summary>Direction of data: bit 0 to the controller, bit 1 to the host.</summary>
    public int Direction => (Opcode == Wire.Opcode.Fabrics ? FabricsType : Opcode) & 3;

    /// <summary>Reads 64 bytes.</summary>
    public static SubmissionEntry Read(ReadOnlySpan<byte> from) => new()
    {
        Opcode = from[0],
        Flags = from[1],
        CommandId = BinaryPrimitives.ReadUInt16LittleEndian(from[2..]),
        NamespaceId = BinaryPrimitives.ReadUInt32LittleEndian(from[4..]),
        DataAddress = BinaryPrimitives.ReadUInt64LittleEndian(from[24..]),
        Prp2 = BinaryPrimitives.ReadUInt64LittleEndian(from[32..]),
        Dword10 = BinaryPrimitives.ReadUInt32LittleEndian(from[40..]),
        Dword11 = BinaryPrimitives.ReadUInt32LittleEndian(from[44..]),
        Dword12 = BinaryPrimitives.ReadUInt32LittleEndian(from[48..]),
        Dword13 = BinaryPrimitives.ReadUInt32LittleEndian(from[52..]),
        Dword14 = BinaryPrimitives.ReadUInt32LittleEndian(from[56..]),
        Dword15 = BinaryPrimitives.ReadUInt32LittleEndian(from[60..]),
    };

    /// <summary>Writes 64 bytes.</summary>
    public void WriteTo(Span<byte> to)
    {
        to[..Size].Clear();
        to[0] = Opcode;
        to[1] = Flags;
        BinaryPrimitives.WriteUInt16LittleEndian(to[2..], CommandId);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], NamespaceId);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], DataAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(to[32..], Prp2);
        BinaryPrimitives.WriteUInt32LittleEndian(to[40..], Dword10);
        BinaryPrimitives.WriteUInt32LittleEndian(to[44..], Dword11);
        BinaryPrimitives.WriteUInt32LittleEndian(to[48..], Dword12);
        BinaryPrimitives.WriteUInt32LittleEndian(to[52..], Dword13);
        BinaryPrimitives.WriteUInt32LittleEndian(to[56..], Dword14);
        BinaryPrimitives.WriteUInt32LittleEndian(to[60..], Dword15);
    }
}
