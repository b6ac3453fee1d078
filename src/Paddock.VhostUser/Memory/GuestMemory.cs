namespace Paddock.VhostUser.Memory;

/// <summary>
/// A guest's memory: an immutable list of regions. Every address from a guest or its front end is looked up here, and one that
/// is not completely inside a region is rejected; later code trusts the result.
/// </summary>
/// <remarks>A new memory table is a new object: requests in flight keep theirs.</remarks>
internal sealed unsafe class GuestMemory
{
    /// <summary>The longest run that is given out, in bytes: a descriptor's 32-bit length could ask for more.</summary>
    public const uint LongestRun = 1u << 30;

    private readonly MappedRegion[] _regions;

    /// <param name="regions">The regions; none overlaps another in guest addresses.</param>
    /// <exception cref="ArgumentException">Two overlap.</exception>
    public GuestMemory(IEnumerable<MappedRegion> regions)
    {
        _regions = [.. regions.OrderBy(r => r.GuestAddress)];
        for (int i = 1; i < _regions.Length; i++)
        {
            if (_regions[i].GuestAddress - _regions[i - 1].GuestAddress < _regions[i - 1].Length)
            {
                throw new ArgumentException($"regions of guest memory overlap at 0x{_regions[i].GuestAddress:x}");
            }
        }
    }

    /// <summary>Empty memory: every address is rejected.</summary>
    public static GuestMemory Empty { get; } = new([]);

    /// <summary>
    /// The run at a guest physical address; false where it is longer than <see cref="LongestRun"/> or not wholly inside one region.
    /// </summary>
    public bool TryGet(ulong guestAddress, uint length, out Memory<byte> run)
    {
        if (length <= LongestRun && RegionAt(guestAddress) is { } region)
        {
            ulong offset = guestAddress - region.GuestAddress;
            if (length <= region.Length - offset)
            {
                run = region.Slice(offset, (int)length);
                return true;
            }
        }

        run = default;
        return false;
    }

    /// <summary>The place of a guest physical address; null where not wholly inside one region.</summary>
    public byte* Find(ulong guestAddress, ulong length)
    {
        if (RegionAt(guestAddress) is not { } region)
        {
            return null;
        }

        ulong offset = guestAddress - region.GuestAddress;
        return length <= region.Length - offset ? region.At(offset) : null;
    }

    /// <summary>The place of an address of the front end's process; null where not wholly inside one region.</summary>
    public byte* FindUser(ulong userAddress, ulong length)
    {
        foreach (var region in _regions)
        {
            ulong offset = userAddress - region.UserAddress;
            if (offset < region.Length && length <= region.Length - offset)
            {
                return region.At(offset);
            }
        }

        return null;
    }

    // front ends that add regions one by one may have hundreds, and every descriptor is looked up
    private MappedRegion? RegionAt(ulong guestAddress)
    {
        int low = 0, high = _regions.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >> 1;
            var region = _regions[middle];
            if (guestAddress < region.GuestAddress)
            {
                high = middle - 1;
            }
            else if (guestAddress - region.GuestAddress >= region.Length)
            {
                low = middle + 1;
            }
            else
            {
                return region;
            }
        }

        return null;
    }
}
