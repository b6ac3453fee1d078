using Paddock.Nvme.Ana;
using Paddock.Nvme.Target;
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
    private const byte WriteProtected = 1;
    private const ushort CrossesZones = 1;

    /// <summary>Identify Namespace, CNS 00h (NVM command set 1.0, figure 97).</summary>
    /// <remarks>
    /// <code>
    /// 0   8  NSZE     25  1  NLBAF, 0's based   30  1  NMIC     48  16 NVMCAP
    /// 8   8  NCAP     26  1  FLBAS              32  1  FPI      64  10 NPWG, NPWA, NPDG, NPDA, NOWS, 0's based, 2 bytes each
    /// 16  8  NUSE     24  1  NSFEAT             33  1  DLFEAT   99  1  NSATTR    104 16  NGUID
    /// 74  2  MSSRL    76  4  MCL                80  1  MSRC     92  4  ANAGRPID
    /// 128 4  LBAF0: MS (2), LBADS (1), RP (1)
    /// </code>
    /// A qcow2 image writes best in whole clusters: a smaller write to a new cluster is completed with zeroes or with data of the backing
    /// image, and a smaller discard frees nothing. Hosts align file systems, writes and discards to NPWG, NPDG and NOWS.
    /// </remarks>
    public static void WriteNvm(Span<byte> to, NvmeNamespace ns, bool shared, bool allowsCopy)
    {
        const byte progressSupported = 0x80;
        to[..Size].Clear();
        var f = new Fields(to);
        ulong capacity = (ulong)(ns.CapacityBytes >> ns.BlockShift);
        f.U64(0, ns.Blocks);
        f.U64(8, capacity);

        // of a namespace that cannot be used, the space in use and the capacity in bytes are not known (8.1.2.7)
        bool isKnown = ns.AnaGroup?.State is not (AnaState.Inaccessible or AnaState.PersistentLoss);
        f.U64(16, isKnown ? capacity : 0);
        f.U8(30, SharingOf(ns, shared));
        f.U8(32, (byte)(progressSupported | ns.FormatPercentLeft));
        f.U8(33, ReadsZeroes);
        f.U128(48, isKnown ? (UInt128)ns.Device.Length : 0);
        if (allowsCopy)
        {
            f.U16(74, CopyCommands.MaxRangeBlocks);
            f.U32(76, CopyCommands.MaxBlocks(ns));
            f.U8(80, CopyCommands.MaxRanges - 1);
        }

        f.U32(92, ns.AnaGroup?.Id ?? 0);
        f.U8(99, (byte)(ns.Device.IsReadOnly ? WriteProtected : 0));
        ns.Identifier.TryWriteBytes(to[104..], bigEndian: true, out _);
        if (ns.CanChangeFormat)
        {
            f.U8(26, LbaFormats.IndexOf(ns.BlockShift));
            LbaFormats.WriteAll(to);
        }
        else
        {
            LbaFormats.WriteOne(to, ns.BlockShift);
        }

        WriteOptimal(f, ns);
    }

    // NMIC: controllers of another server have a namespace with a group, too
    private static byte SharingOf(NvmeNamespace ns, bool shared) => (byte)(shared || ns.IsShared || ns.AnaGroup is not null ? 1 : 0);

    // the fields are valid if NSFEAT has bit 4; Linux ignores the one for writes of zoned namespaces, which write at the pointer anyway
    private static void WriteOptimal(in Fields f, NvmeNamespace ns)
    {
        const byte hasOptimal = 1 << 4;
        int cluster = ns.Device.Limits.OptimalTransfer, blocks = cluster >> ns.BlockShift;
        if (blocks is < 1 or > 0x10000 || !int.IsPow2(blocks))
        {
            return;
        }

        ushort zeroBased = (ushort)(blocks - 1);
        f.U8(24, hasOptimal);
        foreach (int field in (ReadOnlySpan<int>)[64, 66, 68, 70, 72])
        {
            f.U16(field, zeroBased);
        }
    }

    /// <summary>Identify Namespace of the zoned command set, CNS 05h with CSI 02h (ZNS command set 1.2, figure 48).</summary>
    /// <remarks>
    /// <code>
    /// 0     2  ZOC
    /// 2     2  OZCS: bit 0, reads may cross zone boundaries; bit 1 (ZRWASUP), zones can have random write areas
    /// 4     4  MAR, 0's based, FFFFFFFFh: no limit
    /// 8     4  MOR, the same
    /// 44    9  random write areas (<see cref="RandomAreaFields"/>)
    /// 2816  16 LBAFE0: ZSZE (8), ZDES in 64 bytes (1), reserved (7)
    /// </code>
    /// </remarks>
    public static void WriteZoned(Span<byte> to, NvmeNamespace ns)
    {
        var zoned = ns.Zones!;
        to[..Size].Clear();
        var f = new Fields(to);
        f.U16(2, (ushort)(CrossesZones | RandomAreaFields.SupportOf(zoned.Limits)));
        f.U32(4, zoned.Limits.MaxActiveZones - 1);
        f.U32(8, zoned.Limits.MaxOpenZones - 1);
        RandomAreaFields.Write(f, zoned.Limits, ns.BlockShift);
        if (ns.CanChangeFormat)
        {
            LbaFormats.WriteZoned(to, zoned.Limits.ZoneSize, ns.ExtensionBytes);
        }
        else
        {
            LbaFormats.WriteZoned(to, 0, zoned.Limits.ZoneSize, ns.BlockShift, ns.ExtensionBytes);
        }
    }

    /// <summary>The namespace whatever its command set, CNS 08h (NVMe base 2.0, figure 280): NMIC at 1, ANAGRPID (4) at 4, NSATTR at 8,
    /// NSTAT at 14.</summary>
    public static void WriteIndependent(Span<byte> to, NvmeNamespace ns, bool shared)
    {
        to[..Size].Clear();
        var f = new Fields(to);
        f.U8(1, SharingOf(ns, shared));
        f.U32(4, ns.AnaGroup?.Id ?? 0);
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
