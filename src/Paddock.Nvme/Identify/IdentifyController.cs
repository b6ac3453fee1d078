using System.Buffers.Binary;
using Paddock.Nvme.Logs;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>Identify Controller, CNS 01h (NVMe base 2.0, figure 275).</summary>
/// <remarks>
/// <code>
/// 4     20   SN       96   4  CTRATT    259  1  AERL      512  1  SQES     768   256  SUBNQN
/// 24    40   MN       111  1  CNTRLTYPE 261  1  LPA       513  1  CQES     1792  4    IOCCSZ in 16 bytes
/// 64    8    FR       256  2  OACS      262  1  ELPE      514  2  MAXCMD   1796  4    IORCSZ in 16 bytes
/// 76    1    CMIC     258  1  ACL       320  2  KAS       516  4  NN       1800  2    ICDOFF
/// 77    1    MDTS     266  2  WCTEMP    520  2  ONCS      536  4  SGLS     1802  1    FCATT
/// 78    2    CNTLID   268  2  CCTEMP    525  1  VWC       540  4  MNAN     1803  1    MSDBD
/// 524   1    FNA      84  8  RTD3R, RTD3E in microseconds               260  1  FRMW
/// 80    4    VER      92   4  OAES      526  4  AWUN, AWUPF
/// 342   1    ANATT in s            343  1  ANACAP           344  4   ANAGRPMAX                348  4  NANAGRPID
/// 280   32   TNVMCAP, UNVMCAP               352  4  PELS in 64 KiB
/// 3072  8    "PADDOCK", vendor specific     3080 8    incarnation: changes when unflushed writes may be lost
/// </code>
/// </remarks>
internal sealed record IdentifyController
{
    /// <summary>Offset of the vendor specific part: a magic number, then the incarnation.</summary>
    public const int MarkField = 3072, IncarnationField = 3080;

    /// <summary>"PADDOCK" and a zero, read as little-endian.</summary>
    public const ulong Mark = 0x004B_434F_4444_4150;

    /// <summary>Bytes.</summary>
    public const int Size = 4096;

    /// <summary>Keep alive granularity, in 100 ms.</summary>
    public const ushort KeepAliveGranularity = 1;

    /// <summary>ANATT: seconds for which a host waits for a change of the access state to end.</summary>
    public const byte AccessTransitionSeconds = 30;

    /// <summary>Asynchronous events: namespace attributes (8), telemetry (10), zone descriptors (27).</summary>
    public const uint EventsOffered = (1u << 8) | (1u << 10) | (1u << 27);

    /// <summary>Asynchronous event: the access state of a group of namespaces has changed (11).</summary>
    public const uint AccessEventOffered = 1u << 11;

    /// <summary>Size of the persistent event log at most, in units of 64 KiB.</summary>
    public const uint EventLogUnits = 8;

    /// <summary>Asynchronous event requests at once, 0's based.</summary>
    public const byte EventRequestLimit = 3;

    private const byte AdministersIo = 1, IsDiscovery = 2;

    // CMIC
    private const byte SeveralControllers = 1 << 1, AccessReporting = 1 << 3;

    // ANACAP: all five states; the group of a namespace does not change while it is attached
    private const byte AccessStates = 0x1F, KeepsGroup = 1 << 6;

    // traffic counts as keep alive; a list of namespace granularities
    private const uint TrafficKeepsAlive = 1 << 6, HasGranularity = 1 << 7;

    // compare, dataset management, write zeroes, select of features, timestamp, verify
    private const ushort OptionalCommands = (1 << 0) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 6) | (1 << 7);

    private const ushort WriteUncorrectable = 1 << 1;

    // copy; its atomicity; copies without reads and writes
    private const ushort Copies = (1 << 8) | (1 << 9) | (1 << 10);

    // copy descriptor formats 0 to 3
    private const ushort CopyFormats = 0xF;

    // OACS
    private const ushort TellsBlockStatus = 1 << 9;

    // optional admin commands: format, namespace management
    private const ushort Formats = 1 << 1, ManagesNamespaces = 1 << 3;

    // SGLs; over TCP with offsets into the capsule, on a PCI bus with bit buckets, and longer than the data
    private const uint Sgls = 1 << 0, SglOffsets = 1 << 20, SglBitBuckets = 1 << 16, SglExcess = 1 << 18;

    // Doorbell Buffer Config
    private const ushort HasDoorbellBuffer = 1 << 8;

    // command effects log, extended log page data, telemetry, persistent events, supported pages and features with their scope
    private const byte LogAttributes = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5);

    // RTD3R and RTD3E: a shutdown flushes every image, and Linux waits for this long, or 5 s
    private const uint ResumeMicroseconds = 1_000_000, ShutdownMicroseconds = 60_000_000;

    // FRMW: one slot, which is read-only
    private const byte FirmwareSlots = 1 | (1 << 1);

    // extended log page data
    private const byte DiscoveryLogAttributes = 1 << 2;

    public required string SerialNumber { get; init; }

    public required string Model { get; init; }

    public required string Firmware { get; init; }

    public required ushort ControllerId { get; init; }

    public required string SubsystemNqn { get; init; }

    public bool Discovery { get; init; }

    /// <summary>Whether several controllers share the namespaces. Linux 6.12 then loses the zone limits on its multipath node.</summary>
    public bool Shared { get; init; }

    /// <summary>The greatest identifier of a group of namespaces whose access state is reported (ANA); 0: none is.</summary>
    public uint AccessGroups { get; init; }

    /// <summary>Longest transfer, in bytes: a power of two times 4 KiB.</summary>
    public required int MaxTransfer { get; init; }

    /// <summary>Data that fits in a command capsule of an I/O queue.</summary>
    public required int InCapsule { get; init; }

    /// <summary>Entries of a queue.</summary>
    public required int QueueEntries { get; init; }

    /// <summary>What depends on the transport.</summary>
    public required ControllerTraits Traits { get; init; }

    /// <summary>Incarnation of the server: if it changes, unflushed writes of the host may be lost.</summary>
    public ulong Incarnation { get; init; }

    /// <summary>The greatest namespace identifier.</summary>
    public required uint Namespaces { get; init; }

    /// <summary>Whether hosts may format namespaces.</summary>
    public bool AllowsFormat { get; init; }

    /// <summary>Bytes for namespaces that hosts create, and what is left; null: they create none.</summary>
    public (long Total, long Free)? Capacity { get; init; }

    /// <summary>Whether hosts may make blocks of a namespace unreadable (Write Uncorrectable).</summary>
    public bool OffersUncorrectable { get; init; }

    /// <summary>Whether hosts may copy blocks (Copy).</summary>
    public bool AllowsCopy { get; init; } = true;

    // ONCS
    private ushort IoCommands
        => (ushort)(OptionalCommands | (OffersUncorrectable ? WriteUncorrectable : 0) | (AllowsCopy ? Copies : 0));

    // OACS
    private ushort AdminCommands
        => (ushort)((AllowsFormat ? Formats : 0) | (Capacity is null ? 0 : ManagesNamespaces)
            | (Traits.ShadowDoorbells ? HasDoorbellBuffer : 0) | (Discovery ? 0 : TellsBlockStatus));

    private bool IsFabric => Traits.Transport == NvmeTransport.Tcp;

    public void WriteTo(Span<byte> to)
    {
        to[..Size].Clear();
        var f = new Fields(to);
        f.Padded(4, 20, SerialNumber);
        f.Padded(24, 40, Model);
        f.Padded(64, 8, Firmware);
        bool reportsAccess = AccessGroups > 0;
        f.U8(76, (byte)((Shared || reportsAccess ? SeveralControllers : 0) | (reportsAccess ? AccessReporting : 0)));
        f.U8(77, (byte)int.Log2(MaxTransfer / 4096));
        f.U16(78, ControllerId);
        f.U32(80, Properties.Version20);
        f.U32(84, Discovery ? 0 : ResumeMicroseconds);
        f.U32(88, Discovery ? 0 : ShutdownMicroseconds);
        f.U32(92, Discovery ? 0 : EventsOffered | (reportsAccess ? AccessEventOffered : 0));
        f.U32(96, (IsFabric ? TrafficKeepsAlive : 0) | (Capacity is null ? 0 : HasGranularity));
        f.U8(111, Discovery ? IsDiscovery : AdministersIo);
        f.U16(256, AdminCommands);
        f.U8(258, 3);
        f.U8(259, EventRequestLimit);
        f.U8(260, FirmwareSlots);
        f.U8(261, Discovery ? DiscoveryLogAttributes : LogAttributes);
        f.U8(262, Discovery ? (byte)0 : (byte)(ErrorLog.Capacity - 1));
        f.U16(266, 343);
        f.U16(268, 353);
        f.U128(280, (UInt128)(Capacity?.Total ?? 0));
        f.U128(296, (UInt128)(Capacity?.Free ?? 0));
        f.U16(320, IsFabric ? KeepAliveGranularity : (ushort)0);
        if (reportsAccess)
        {
            f.U8(342, AccessTransitionSeconds);
            f.U8(343, AccessStates | KeepsGroup);
            f.U32(344, AccessGroups);
            f.U32(348, AccessGroups);
        }

        f.U32(352, Discovery ? 0 : EventLogUnits);
        f.U8(512, 0x66);
        f.U8(513, 0x44);
        f.U16(514, IsFabric ? (ushort)QueueEntries : (ushort)0);
        f.U32(516, Namespaces);
        f.U16(520, Discovery ? (ushort)0 : IoCommands);
        f.U8(524, FormatCommand.Attributes);
        f.U8(525, (byte)(Discovery ? 0 : 7));
        f.U16(534, Discovery || !AllowsCopy ? (ushort)0 : CopyFormats);
        f.U32(536, Sgls | (IsFabric ? SglOffsets : SglBitBuckets | SglExcess));
        f.U32(540, Namespaces);
        f.Terminated(768, 256, SubsystemNqn);
        if (IsFabric)
        {
            f.U32(1792, (uint)((SubmissionEntry.Size + InCapsule) / 16));
            f.U32(1796, CompletionEntry.Size / 16);
            f.U8(1803, 1);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(to[MarkField..], Mark);
        BinaryPrimitives.WriteUInt64LittleEndian(to[IncarnationField..], Incarnation);
    }
}
