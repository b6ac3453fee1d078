using Paddock.Testing.Protocols.VhostUser;

namespace Paddock.VhostUser.Tests;

/// <summary>Requests allocate nothing on the managed heap.</summary>
[Collection(nameof(HostileTests))]
public class AllocationTests
{
    private const int Warm = 1_000, Measured = 4_000;
    private const ulong GuestAt = 0x10_0000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Requests_allocate_nothing_in_steady_state(bool packed)
    {
        await using var bench = new Bench();
        bench.Disk.Records = false;
        using var ram = new GuestRam(GuestAt, 4 << 20);
        var (frontEnd, ring) = bench.Start(ram, packed);
        using (frontEnd)
        using (ring)
        {
            Read(frontEnd, ring, Warm);
            Allocations.AssertAtMost(Measured * 8L, () => Read(frontEnd, ring, Measured));
        }
    }

    private static void Read(FrontEnd frontEnd, GuestRing ring, int count)
    {
        var spin = default(SpinWait);
        for (int i = 0; i < count; i++)
        {
            frontEnd.Put(ring, 0, i % 1000 * 4096, default, 4096);
            ring.Kick.Signal();
            while (!ring.TryGet(out _, out _))
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }
}
