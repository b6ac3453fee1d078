using Microsoft.Win32.SafeHandles;
using Paddock.VhostUser.Memory;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Session;

/// <summary>
/// The guest's memory. No region goes while a request may touch it: rings stand still, with nothing under way, whenever the table changes.
/// </summary>
internal sealed partial class FrontEndSession
{
    private bool _saidMayShrink;

    private void SetMemoryTable(Message request)
    {
        var regions = MemoryTable.Parse(request.Payload);
        ExpectDescriptors(request, regions.Length);
        var mapped = new List<MemorySlot>(regions.Length);
        try
        {
            for (int i = 0; i < regions.Length; i++)
            {
                mapped.Add(MemorySlot.Map(regions[i], request.Descriptors[i], _mustBeSealed));
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

        SayWhatMayShrink();
    }

    private void AddMemoryRegion(Message request)
    {
        ExpectDescriptors(request, 1);
        var region = SingleRegion.Parse(request.Payload);
        if (_slots.Count >= VhostUserLimits.MemorySlots)
        {
            throw new RequestRefusedException($"all {VhostUserLimits.MemorySlots} slots of memory are taken");
        }

        var slot = MemorySlot.Map(region, request.Descriptors[0], _mustBeSealed);
        try
        {
            Replace([.. _slots, slot]);
        }
        catch
        {
            slot.Dispose();
            throw;
        }

        SayWhatMayShrink();
    }

    private void RemoveMemoryRegion(Message request)
    {
        // some front ends send a descriptor along, which has no meaning
        if (request.Descriptors.Count > 1)
        {
            ExpectDescriptors(request, 0);
        }

        var region = SingleRegion.Parse(request.Payload);
        int index = _slots.FindIndex(s => s.Is(region));
        if (index < 0)
        {
            throw new RequestRefusedException($"there is no region of {region.Length} bytes at 0x{region.GuestAddress:x}");
        }

        Replace([.. _slots[..index], .. _slots[(index + 1)..]]);
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

        PauseRings();
        foreach (var old in _slots.Where(s => !slots.Contains(s)))
        {
            old.Dispose();
        }

        _slots.Clear();
        _slots.AddRange(slots);
        _memory = memory;
        StartRings();
    }

    private void SayWhatMayShrink()
    {
        if (!_saidMayShrink && _slots.Exists(s => s.MayShrink))
        {
            _saidMayShrink = true;
            _log("the front end can cut its memory short, which would end this process: a memfd that can be sealed is safe");
        }
    }

    private void GetInflight(Message request, Message reply)
    {
        ExpectDescriptors(request, 0);
        var wanted = InflightDescription.Parse(request.Payload);
        var made = InflightMemory.Create(wanted, IsPacked, _device.Zones is not null, out var description, out SafeFileHandle file);
        description.WriteTo(BeginReply(request, reply, request.Header.Length));
        reply.Descriptors.Add(file);
        Replace(made);
    }

    private void SetInflight(Message request)
    {
        ExpectDescriptors(request, 1);
        var given = InflightDescription.Parse(request.Payload);
        Replace(InflightMemory.Map(given, IsPacked, _device.Zones is not null, request.Descriptors[0], _mustBeSealed));
    }

    private bool IsPacked => (RingFeatureBits.Of(_features) & RingFeatures.Packed) != 0;

    private void Replace(InflightMemory inflight)
    {
        PauseRings();
        _inflight?.Dispose();
        _inflight = inflight;
        if (_device.Zones is not null)
        {
            inflight.KeepNotes(_rings.Length, _device.Holds);
        }

        StartRings();
    }
}
