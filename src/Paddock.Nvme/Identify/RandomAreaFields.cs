using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Identify;

/// <summary>Random write areas in Identify Namespace of the zoned command set (ZNS command set 1.2, figure 48).</summary>
/// <remarks>
/// <code>
/// 2   2  OZCS: bit 1 (ZRWASUP), zones can have random write areas; the fields below are zero if they cannot
/// 44  4  NUMZRWA: most random write areas, 0's based
/// 48  2  ZRWAFG: unit of commit, in blocks
/// 50  2  ZRWASZ: size of an area, in blocks
/// 52  1  ZRWACAP: bit 0, explicit commits
/// </code>
/// </remarks>
internal static class RandomAreaFields
{
    /// <summary>ZRWASUP of OZCS.</summary>
    public const ushort Supported = 1 << 1;

    private const int SupportAt = 2, NumberAt = 44, UnitAt = 48, SizeAt = 50, CapabilitiesAt = 52;
    private const byte ExplicitCommits = 1;

    /// <summary>What they add to OZCS.</summary>
    public static ushort SupportOf(in ZonedLimits limits) => limits.RandomArea.Size > 0 ? Supported : (ushort)0;

    /// <summary>What is wrong with areas in blocks of a size; null: they can be reported.</summary>
    public static string? Problem(in RandomAreaLimits area, int blockSize)
        => area.Size == 0 || ((area.Size | area.Granularity) % blockSize == 0 && area.Size / blockSize <= ushort.MaxValue) ? null
            : $"random write areas of {area.Size} bytes, committed by {area.Granularity}: both must be multiples of the logical block of "
                + $"{blockSize} bytes, and at most {ushort.MaxValue} blocks";

    /// <summary>Writes them; nothing is written without areas.</summary>
    public static void Write(in Fields f, in ZonedLimits limits, int blockShift)
    {
        var area = limits.RandomArea;
        if (area.Size == 0)
        {
            return;
        }

        f.U32(NumberAt, (area.MaxZones == 0 ? (uint)limits.ZoneCount : area.MaxZones) - 1);
        f.U16(UnitAt, (ushort)(area.Granularity >> blockShift));
        f.U16(SizeAt, (ushort)(area.Size >> blockShift));
        f.U8(CapabilitiesAt, ExplicitCommits);
    }

    /// <summary>Reads them, as the host does: none if a number cannot be used.</summary>
    /// <param name="page">The structure.</param>
    /// <param name="blockShift">Logarithm of the block's size.</param>
    public static RandomAreaLimits Read(ReadOnlySpan<byte> page, int blockShift)
    {
        long unit = BinaryPrimitives.ReadUInt16LittleEndian(page[UnitAt..]), size = BinaryPrimitives.ReadUInt16LittleEndian(page[SizeAt..]);
        bool isUsable = (BinaryPrimitives.ReadUInt16LittleEndian(page[SupportAt..]) & Supported) != 0 && unit != 0 && size % unit == 0;
        return isUsable
            ? new RandomAreaLimits(size << blockShift, unit << blockShift, BinaryPrimitives.ReadUInt32LittleEndian(page[NumberAt..]) + 1)
            : default;
    }
}
