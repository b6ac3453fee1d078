namespace Paddock.Sim;

/// <summary>
/// Contents of sectors that were copied from other places: each pair of origin and version gets a number of its own, above all versions.
/// </summary>
internal sealed class CopiedSectors
{
    private const uint FirstNumber = 1U << 31;

    private readonly List<(long Origin, uint Version)> _contents = [];
    private readonly Dictionary<(long Origin, uint Version), uint> _numbers = [];

    /// <summary>Version that a sector has after a copy.</summary>
    /// <param name="target">The sector.</param>
    /// <param name="source">The sector that was copied.</param>
    /// <param name="version">Version of the copied sector.</param>
    public uint At(long target, long source, uint version)
    {
        var (origin, written) = version >= FirstNumber ? _contents[(int)(version - FirstNumber)] : (source, version);
        return written == 0 ? 0 : origin == target ? written : NumberOf(origin, written);
    }

    /// <summary>Version that a sector holds; <see cref="SectorPattern.Garbage"/> if no write or copy produced it.</summary>
    public long Identify(ReadOnlySpan<byte> sector, long offset)
    {
        long version = SectorPattern.Identify(sector, offset);
        if (version >= 0)
        {
            return version;
        }

        long origin = SectorPattern.OriginOf(sector);
        version = SectorPattern.Identify(sector, origin * SectorPattern.Sector);
        return version > 0 && _numbers.TryGetValue((origin, (uint)version), out uint number) ? number : SectorPattern.Garbage;
    }

    private uint NumberOf(long origin, uint version)
    {
        if (!_numbers.TryGetValue((origin, version), out uint number))
        {
            number = FirstNumber + (uint)_contents.Count;
            _contents.Add((origin, version));
            _numbers.Add((origin, version), number);
        }

        return number;
    }
}
