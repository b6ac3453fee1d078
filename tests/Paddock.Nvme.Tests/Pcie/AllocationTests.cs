using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Allocations per command: none. Runs alone, since the whole process is measured.</summary>
[Collection(nameof(Tests.AllocationTests))]
public class AllocationTests
{
    private const int Depth = 32, Warm = 200, Measured = 400;

    [Theory]
    [InlineData(Opcode.Read, false)]
    [InlineData(Opcode.Write, false)]
    [InlineData(Opcode.Read, true)]
    public async Task Commands_allocate_nothing_in_steady_state(byte opcode, bool shadow)
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 2 * Depth);
        if (shadow)
        {
            bench.Host.UseShadowDoorbells();
        }

        var entry = new SubmissionEntry
        {
            Opcode = opcode, NamespaceId = 2, DataAddress = bench.Memory.Allocate(4096), Dword12 = 7,
        };
        Run(bench.Host, queue, entry, Warm);
        Allocations.AssertAtMost(Measured * Depth, () => Run(bench.Host, queue, entry, Measured));
    }

    private static void Run(PcieHost host, HostQueuePair queue, SubmissionEntry entry, int batches)
    {
        for (int i = 0; i < batches; i++)
        {
            for (int k = 0; k < Depth; k++)
            {
                host.Submit(queue, entry, rings: false);
            }

            host.Ring(queue);
            for (int k = 0; k < Depth; k++)
            {
                PcieHost.Expect(NvmeStatus.Success, host.Wait(queue));
            }
        }
    }
}
