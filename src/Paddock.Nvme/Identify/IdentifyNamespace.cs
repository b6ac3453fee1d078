using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>Identify structures of a namespace, by CNS value.</summary>
internal static class IdentifyNamespace
{
    /// <summary>Bytes of each structure.</summary>
    public const int Size = 4096;

    /// <summary>Command set identifier of the NVM command set.</summary>
    public const byte NvmCommandSet = 0;

    /// <summary>Command set identifier of the zoned namespace command set.</summary>
    public const byte ZonedCommandSet = 2;

    // deallocated blocks read as zeroes; write zeroes may deallocate
    private const byte ReadsZeroes = 1 | (1 << 3);
    private const byte WriteProtected = 1, ExplicitCommits = 1;
    private const ushort CrossesZones = 1, HasRandomAreas = 2;

    /// <summary>Identify Namespace, CNS 00h (NVM command set 1.0, figure 97).</summary>
    /// <remarks>
    /// <code>
    /// 0   8  NSZE     25  1  NLBAF, 0's based   30  1  NMIC     64  10  NPWG, NPWA, NPDG, NPDA, NOWS, 0's based
    /// 8   8  NCAP     26  1  FLBAS              33  1  DLFEAT   99  1   NSATTR
    /// 16  8  NUSE     24  1  NSFEAT             48  16 NVMCAP   104 16  NGUID
    /// 128 4  LBAF0: MS (2), LBADS (1), RP (1)
    /// </code>
    /// </remarks>
    public static void WriteNvm(Span<byte> to, NvmeNamespace ns, bool shared)
    {
        to[..Size].Clear();
        var f = new Fields(to);
        f.U64(0, ns.Blocks);
        f.U64(8, ns.Blocks);
        f.U64(16, ns.Blocks);
        f.U8(30, (byte)(shared ? 1 : 0));
        f.U8(33, ReadsZeroes);
        f.U128(48, (UInt128)ns.Device.Length);
        f.U8(99, (byte)(ns.Device.IsReadOnly ? WriteProtected : 0));
        ns.Identifier.TryWriteBytes(to[104..], bigEndian: true, out _);
        f.U8(130, (byte)ns.BlockShift);
    }

    /// <summary>Identify Namespace of the zoned command set, CNS 05h with CSI 02h (ZNS command set 1.2, figure 48).</summary>
    /// <remarks>
    /// <code>
    /// 0     2  ZOC
    /// 2     2  OZCS: bit 0, reads may cross zone boundaries; bit 1 (ZRWASUP), zones can have random write areas
    /// 4     4  MAR, 0's based, FFFFFFFFh: no limit
    /// 8     4  MOR, the same
    /// 44    4  NUMZRWA: most random write areas, 0's based
    /// 48    2  ZRWAFG: unit of commit, in blocks
    /// 50    2  ZRWASZ: size of an area, in blocks
    /// 52    1  ZRWACAP: bit 0, explicit commits
    /// 2816  16 LBAFE0: ZSZE (8), ZDES in 64 bytes (1), reserved (7)
    /// </code>
    /// </remarks>
    public static void WriteZoned(Span<byte> to, NvmeNamespace ns)
    {
        var zoned = ns.Zones!;
        to[..Size].Clear();
        var f = new Fields(to);
        f.U16(2, CrossesZones);
        f.U32(4, zoned.Limits.MaxActiveZones - 1);
        f.U32(8, zoned.Limits.MaxOpenZones - 1);
        f.U64(2816, (ulong)(zoned.Limits.ZoneSize >> ns.BlockShift));
        f.U8(2824, (byte)(ns.ExtensionBytes / 64));
        if (zoned.Limits.RandomArea is { Size: > 0 } area)
        {
            f.U16(2, CrossesZones | HasRandomAreas);
            f.U32(44, (area.MaxZones == 0 ? (uint)zoned.Limits.ZoneCount : area.MaxZones) - 1);
            f.U16(48, (ushort)(area.Granularity >> ns.BlockShift));
            f.U16(50, (ushort)(area.Size >> ns.BlockShift));
            f.U8(52, ExplicitCommits);
        }
    }

    /// <summary>The random write areas in that structure, as the host reads them: none if a number cannot be used.</summary>
    /// <param name="page">The structure.</param>
    /// <param name="blockShift">Logarithm of the block's size.</param>
    public static RandomAreaLimits ReadRandomArea(ReadOnlySpan<byte> page, int blockShift)
    {
        long unit = BinaryPrimitives.ReadUInt16LittleEndian(page[48..]), size = BinaryPrimitives.ReadUInt16LittleEndian(page[50..]);
        bool isUsable = (BinaryPrimitives.ReadUInt16LittleEndian(page[2..]) & HasRandomAreas) != 0 && unit != 0 && size % unit == 0;
        return isUsable
            ? new RandomAreaLimits(size << blockShift, unit << blockShift, BinaryPrimitives.ReadUInt32LittleEndian(page[44..]) + 1)
            : default;
    }

    /// <summary>The namespace whatever its command set, CNS 08h (NVMe base 2.0, figure 280): NMIC at 1, NSATTR at 8, NSTAT at 14.</summary>
    public static void WriteIndependent(Span<byte> to, NvmeNamespace ns, bool shared)
    {
        to[..Size].Clear();
        var f = new Fields(to);
        f.U8(1, (byte)(shared ? 1 : 0));
        f.U8(8, (byte)(ns.Device.IsReadOnly ? WriteProtected : 0));
        f.U8(14, 1);
    }

    /// <summary>The identification descriptors, CNS 03h (figure 277): each NIDT (1), NIDL (1), reserved (2), NID.</summary>
    public static void WriteDescriptors(Span<byte> to, NvmeNamespace ns)
    {
        const byte nguid = 2, uuid = 3, commandSet = 4;
        to[..Size].Clear();
        int at = 0;
        foreach (byte type in new[] { nguid, uuid })
        {
            to[at] = type;
            to[at + 1] = 16;
            ns.Identifier.TryWriteBytes(to[(at + 4)..], bigEndian: true, out _);
            at += 20;
        }

        to[at] = commandSet;
        to[at + 1] = 1;
        to[at + 4] = ns.CommandSet;
    }
}
