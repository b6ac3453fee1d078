using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>What a host specifies of a new namespace (NVMe base 2.0, figure 331; ZNS command set 1.1, figure 53).</summary>
/// <remarks>
/// <code>
/// 0   8  NSZE      26  1  FLBAS     30   1  NMIC       100  2  NVMSETID    384  8  LBSTM      499  1  bit 0: allocate ZRWA resources
/// 8   8  NCAP      29  1  DPS       92   4  ANAGRPID   102  2  ENDGID      392  2  NPHNDLS    500  4  RAR
/// 504 4  ROR       508 4  RNUMZRWA; 0 in a limit: no limit
/// </code>
/// </remarks>
internal static class NamespaceTemplate
{
    /// <summary>Bytes.</summary>
    public const int Size = 4096;

    // the table of zones is in memory
    private const long MaxZones = 65536;

    private const int ZoneFields = 499;

    /// <summary>Reads a template.</summary>
    /// <param name="from">The structure.</param>
    /// <param name="commandSet">Command set of the namespace.</param>
    /// <param name="manager">Creates it: zone size, and random write areas.</param>
    /// <param name="request">The namespace, without an identifier; null if the status is an error.</param>
    public static NvmeStatus Read(ReadOnlySpan<byte> from, byte commandSet, INamespaceManager manager, out NamespaceRequest? request)
    {
        request = null;
        bool zoned = commandSet == IdentifyNamespace.ZonedCommandSet;
        if (!(zoned && manager.ZoneSize > 0) && commandSet != IdentifyNamespace.NvmCommandSet)
        {
            return NvmeStatus.CommandSetNotSupported;
        }

        byte format = from[26];
        int index = (format & 15) | (format >> 5 & 3) << 4;
        if (LbaFormats.ShiftOf(index) is not { } shift || (format & 0x90) != 0 || from[29] != 0)
        {
            return NvmeStatus.InvalidFormat;
        }

        ulong blocks = BinaryPrimitives.ReadUInt64LittleEndian(from), capacity = BinaryPrimitives.ReadUInt64LittleEndian(from[8..]);
        if (from[30] > 1 || blocks == 0 || capacity == 0 || capacity > blocks || blocks > (ulong)long.MaxValue >> shift
            || IsSet(from.Slice(92, 4)) || IsSet(from.Slice(100, 4)) || IsSet(from.Slice(384, 10)))
        {
            return NvmeStatus.InvalidField;
        }

        long bytes = (long)(blocks << shift);
        bool isPrivate = from[30] == 0;
        if (zoned)
        {
            var whole = new NamespaceRequest(0, bytes, 1 << shift, manager.ZoneSize, 0, 0, 0, isPrivate);
            return ReadZoned(from, whole, (long)capacity << shift, manager.RandomArea, out request);
        }

        if (capacity < blocks)
        {
            return NvmeStatus.ThinProvisioningNotSupported;
        }

        request = new NamespaceRequest(0, bytes, 1 << shift, 0, 0, 0, 0, isPrivate);
        return NvmeStatus.Success;
    }

    // whole zones, all with the same capacity
    private static NvmeStatus ReadZoned(
        ReadOnlySpan<byte> from, NamespaceRequest whole, long capacity, RandomAreaLimits area, out NamespaceRequest? request)
    {
        request = null;
        long zones = whole.Bytes / whole.ZoneSize;
        uint active = LimitAt(from[(ZoneFields + 1)..]), open = LimitAt(from[(ZoneFields + 5)..]);
        uint areas = LimitAt(from[(ZoneFields + 9)..]);
        if (from[ZoneFields] == 0)
        {
            area = default;
        }

        if (whole.Bytes % whole.ZoneSize != 0 || zones > MaxZones || capacity % zones != 0 || capacity / zones % whole.BlockSize != 0
            || (active != 0 && open > active) || from[ZoneFields] > (area.Size > 0 ? 1 : 0)
            || (area.Size > 0 && (area.Size > capacity / zones || capacity / zones % area.Granularity != 0
                || RandomAreaFields.Problem(area, whole.BlockSize) is not null)))
        {
            return NvmeStatus.InvalidField;
        }

        request = whole with
        {
            ZoneCapacity = capacity / zones, MaxActiveZones = active, MaxOpenZones = open == 0 ? active : open,
            RandomArea = area.Size == 0 ? default : area with { MaxZones = areas == 0 ? active : areas },
        };
        return NvmeStatus.Success;
    }

    private static uint LimitAt(ReadOnlySpan<byte> from)
        => BinaryPrimitives.ReadUInt32LittleEndian(from) is not uint.MaxValue and var limit ? limit : 0;

    private static bool IsSet(ReadOnlySpan<byte> field) => field.IndexOfAnyExcept((byte)0) >= 0;
}
