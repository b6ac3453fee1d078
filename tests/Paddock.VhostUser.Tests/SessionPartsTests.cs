using Paddock.Posix;
using Paddock.Serving;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;
using Paddock.VhostUser.Session;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>Unit tests of the parts of a session: rings, ring messages, memory messages.</summary>
public sealed class SessionPartsTests : IDisposable
{
    private const ulong At = 0x10_0000;
    private const int Size = 1 << 16;

    private readonly LongWorkClient _longWork = LongWork.Shared.Open();
    private readonly List<string> _log = [];
    private readonly Message _request = new();
    private readonly RingSet _rings;
    private readonly RingRequests _ringRequests;
    private readonly MemoryRequests _memory;

    public SessionPartsTests()
    {
        var device = new VirtioBlkDevice(Blk.BlkRig.Plain(), new VirtioBlkOptions { Queues = 2 });
        _rings = new RingSet(device, TimeSpan.Zero, _log.Add, _longWork);
        _ringRequests = new RingRequests(_rings);
        _memory = new MemoryRequests(_rings, mustBeSealed: false, _log.Add);
    }

    public void Dispose()
    {
        _rings.Dispose();
        _memory.Dispose();
        _request.Dispose();
        _longWork.Dispose();
    }

    [Fact]
    public void Ring_that_does_not_exist_breaks_the_protocol()
    {
        Assert.Equal(2, _rings.Count);
        Assert.Throws<VhostUserException>(() => _rings[2]);
        Assert.Throws<VhostUserException>(() => _ringRequests.TryRun(State(FrontEndRequest.SetVringNum, 2, 64)));
    }

    [Fact]
    public void Front_end_without_protocol_features_has_all_rings_enabled()
    {
        _rings.SetFeatures(1UL << RingFeatureBits.Version1, enableAll: true);
        Assert.True(_rings[0].IsEnabled && _rings[1].IsEnabled);
        _rings.SetFeatures(0, enableAll: false);
        Assert.True(_rings[0].IsEnabled);
    }

    [Fact]
    public void Reset_disables_rings_and_forgets_features_and_base()
    {
        _rings.SetFeatures(1UL << RingFeatureBits.Version1, enableAll: true);
        Assert.True(_ringRequests.TryRun(State(FrontEndRequest.SetVringBase, 1, 17)));
        Assert.Equal(17u, _rings[1].Base);
        _rings.Reset();
        Assert.Equal((0UL, 0u, false), (_rings.Features, _rings[1].Base, _rings[1].IsEnabled));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData((uint)RingLimits.LargestRing + 1)]
    public void Ring_of_a_forbidden_size_breaks_the_protocol(uint size)
        => Assert.Throws<VhostUserException>(() => _ringRequests.TryRun(State(FrontEndRequest.SetVringNum, 0, size)));

    [Fact]
    public void Ring_is_enabled_by_1_and_disabled_by_0_only()
    {
        Assert.True(_ringRequests.TryRun(State(FrontEndRequest.SetVringEnable, 0, 1)));
        Assert.True(_rings[0].IsEnabled);
        Assert.True(_ringRequests.TryRun(State(FrontEndRequest.SetVringEnable, 0, 0)));
        Assert.False(_rings[0].IsEnabled);
        Assert.Throws<VhostUserException>(() => _ringRequests.TryRun(State(FrontEndRequest.SetVringEnable, 0, 2)));
    }

    [Fact]
    public void Get_base_stops_the_ring_and_replies_its_base()
    {
        using var reply = new Message();
        _ringRequests.TryRun(State(FrontEndRequest.SetVringBase, 1, 5));
        _ringRequests.GetBase(State(FrontEndRequest.GetVringBase, 1, 0), reply);
        Assert.Equal(new VringState(1, 5), VringState.Parse(reply.Payload));
        Assert.Equal((uint)FrontEndRequest.GetVringBase, reply.Header.Request);
    }

    [Fact]
    public void Message_about_no_ring_is_not_handled()
    {
        _request.Begin((uint)FrontEndRequest.GetFeatures, HeaderFlags.Version, 0);
        Assert.False(_ringRequests.TryRun(_request));
    }

    [Fact]
    public void Region_is_removed_by_its_description_once()
    {
        _memory.Add(Region(At, withFile: true));
        _memory.Remove(Region(At, withFile: false));
        Assert.Throws<RequestRefusedException>(() => _memory.Remove(Region(At, withFile: false)));
    }

    [Fact]
    public void Overlapping_region_is_rejected_and_the_first_remains()
    {
        _memory.Add(Region(At, withFile: true));
        Assert.Throws<RequestRefusedException>(() => _memory.Add(Region(At + (Size / 2), withFile: true)));
        _memory.Remove(Region(At, withFile: false));
    }

    [Fact]
    public void Table_replaces_all_regions()
    {
        _memory.Add(Region(At, withFile: true));
        RegionDescription[] regions = [new(At + Size, Size, At + Size, 0)];
        MemoryTable.Write(_request.Begin((uint)FrontEndRequest.SetMemoryTable, HeaderFlags.Version, MemoryTable.SizeOf(1)), regions);
        _request.Descriptors.Add(SharedMemory.Create("paddock-test", Size));
        _memory.SetTable(_request);
        Assert.Throws<RequestRefusedException>(() => _memory.Remove(Region(At, withFile: false)));
        _memory.Remove(Region(At + Size, withFile: false));
    }

    [Fact]
    public void Region_without_its_descriptor_breaks_the_protocol()
        => Assert.Throws<VhostUserException>(() => _memory.Add(Region(At, withFile: false)));

    private Message State(FrontEndRequest request, uint ring, uint number)
    {
        new VringState(ring, number).WriteTo(_request.Begin((uint)request, HeaderFlags.Version, VringState.Size));
        return _request;
    }

    private Message Region(ulong guestAddress, bool withFile)
    {
        var payload = _request.Begin((uint)FrontEndRequest.AddMemoryRegion, HeaderFlags.Version, SingleRegion.Size);
        SingleRegion.Write(payload, new RegionDescription(guestAddress, Size, guestAddress, 0));
        if (withFile)
        {
            _request.Descriptors.Add(SharedMemory.Create("paddock-test", Size));
        }

        return _request;
    }
}
