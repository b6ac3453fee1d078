using System.Buffers.Binary;

namespace Paddock.VhostUser.Wire;

/// <summary>
/// "Memory regions description": all of a guest's memory at once.
/// <code>
/// offset size
///      0    4  number of regions
///      4    4  0
///      8   32  each region
/// </code>
/// </summary>
internal static class MemoryTable
{
    private const int RegionsAt = 2 * sizeof(uint);

    /// <summary>Size in bytes of a table with this number of regions.</summary>
    public static int SizeOf(int regions) => RegionsAt + (regions * RegionDescription.Size);

    /// <exception cref="VhostUserException">
    /// More regions than <see cref="VhostUserLimits.TableRegions"/>, or a length that does not match their number.
    /// </exception>
    public static RegionDescription[] Parse(ReadOnlySpan<byte> from)
    {
        if (from.Length < RegionsAt)
        {
            throw new VhostUserException(nameof(MemoryTable), 0, $"{from.Length} bytes came where at least {RegionsAt} must");
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(from);
        if (count > VhostUserLimits.TableRegions)
        {
            throw new VhostUserException(nameof(MemoryTable), 0, $"{count} regions");
        }

        VhostUserException.ExpectLength(nameof(MemoryTable), SizeOf((int)count), from.Length);
        var regions = new RegionDescription[count];
        for (int i = 0; i < regions.Length; i++)
        {
            regions[i] = RegionDescription.Parse(from.Slice(SizeOf(i), RegionDescription.Size));
        }

        return regions;
    }

    public static void Write(Span<byte> to, ReadOnlySpan<RegionDescription> regions)
    {
        to[..RegionsAt].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(to, regions.Length);
        for (int i = 0; i < regions.Length; i++)
        {
            regions[i].WriteTo(to[SizeOf(i)..]);
        }
    }
}
