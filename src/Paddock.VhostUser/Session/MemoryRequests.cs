using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// Messages about the guest's memory: the whole table, or one region. A message that fails leaves the memory as it was. No region is
/// unmapped while a request may touch it (<see cref="RingSet.SetMemory"/>).
/// </summary>
/// <param name="rings">The rings that run in the memory.</param>
/// <param name="mustBeSealed">Whether memory that the front end could cut short is refused.</param>
/// <param name="log">Takes lines for people, on any thread.</param>
internal sealed class MemoryRequests(RingSet rings, bool mustBeSealed, Action<string> log) : IDisposable
{
    private readonly List<MemorySlot> _slots = [];
    private bool _hasWarned;

    /// <summary>Replaces all regions.</summary>
    public void SetTable(Message request)
    {
        var regions = MemoryTable.Parse(request.Payload);
        request.ExpectDescriptors(regions.Length);
        var mapped = new List<MemorySlot>(regions.Length);
        try
        {
            for (int i = 0; i < regions.Length; i++)
            {
                mapped.Add(MemorySlot.Map(regions[i], request.Descriptors[i], mustBeSealed));
            }

            Replace(mapped);
        }
        catch
        {
            foreach (var slot in mapped)
            {
                slot.Dispose();
            }

            throw;
        }

        WarnOfMemoryThatMayFault();
    }

    /// <summary>Adds a region.</summary>
    public void Add(Message request)
    {
        request.ExpectDescriptors(1);
        var region = SingleRegion.Parse(request.Payload);
        if (_slots.Count >= VhostUserLimits.MemorySlots)
        {
            throw new RequestRefusedException($"all {VhostUserLimits.MemorySlots} slots of memory are taken");
        }

        var slot = MemorySlot.Map(region, request.Descriptors[0], mustBeSealed);
        try
        {
            Replace([.. _slots, slot]);
        }
        catch
        {
            slot.Dispose();
            throw;
        }

        WarnOfMemoryThatMayFault();
    }

    /// <summary>Removes a region.</summary>
    public void Remove(Message request)
    {
        // some front ends send a descriptor along, which has no meaning
        if (request.Descriptors.Count > 1)
        {
            request.ExpectDescriptors(0);
        }

        var region = SingleRegion.Parse(request.Payload);
        int index = _slots.FindIndex(s => s.Is(region));
        if (index < 0)
        {
            throw new RequestRefusedException($"there is no region of {region.Length} bytes at 0x{region.GuestAddress:x}");
        }

        Replace([.. _slots[..index], .. _slots[(index + 1)..]]);
    }

    /// <summary>Unmaps all regions. No ring runs any more.</summary>
    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Dispose();
        }
    }

    private void Replace(List<MemorySlot> slots)
    {
        GuestMemory memory;
        try
        {
            memory = new GuestMemory(slots.Select(s => s.Region));
        }
        catch (ArgumentException e)
        {
            throw new RequestRefusedException(e.Message);
        }

        rings.SetMemory(memory, [.. _slots.Where(s => !slots.Contains(s))]);
        _slots.Clear();
        _slots.AddRange(slots);
    }

    private void WarnOfMemoryThatMayFault()
    {
        if (!_hasWarned && _slots.Exists(s => s.MayFault))
        {
            _hasWarned = true;
            log("the front end can cut its memory short, which would end this process: a sealed memfd without huge pages is safe");
        }
    }
}
