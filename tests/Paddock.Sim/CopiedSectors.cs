using Paddock.Block;

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

    /// <summary>Versions of the sectors of a range, <see cref="SectorPattern.Unreadable"/> where a read fails for that reason.</summary>
    public async Task<long[]> ReadAsync(IBlockDevice device, long offset, int length)
    {
        var bytes = new byte[length];
        var versions = new long[length / SectorPattern.Sector];
        try
        {
            await device.ReadAsync(offset, bytes);
        }
        catch (BlockException e) when (e.Error == BlockError.Unreadable)
        {
            if (versions.Length == 1)
            {
                return [SectorPattern.Unreadable];
            }

            int half = versions.Length / 2 * SectorPattern.Sector;
            return [.. await ReadAsync(device, offset, half), .. await ReadAsync(device, offset + half, length - half)];
        }

        for (int i = 0; i < versions.Length; i++)
        {
            long at = (long)i * SectorPattern.Sector;
            versions[i] = Identify(bytes.AsSpan((int)at, SectorPattern.Sector), offset + at);
        }

        return versions;
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
