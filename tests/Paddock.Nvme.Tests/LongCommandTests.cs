using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Long commands do not block other clients, and end when their client disconnects.</summary>
public class LongCommandTests
{
    [Fact]
    public async Task Verify_ends_when_its_host_disconnects_and_does_not_block_other_hosts()
    {
        const int verifies = 20, pieces = 32;
        await using var bench = await Bench.StartAsync();
        var reading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var permits = new SemaphoreSlim(0);
        var slow = new TestDevice(64 << 20)
        {
            Around = async (request, run) =>
            {
                if (request.Call == DeviceCall.Read)
                {
                    reading.TrySetResult();
                    await permits.WaitAsync();
                }

                await run();
            },
        };
        await using var disk = CheckedDevice.Wrap(slow);
        bench.Subsystem.Add(new NvmeNamespace(2, disk, 512, "slow"));
        int before = bench.Server.Connections.Count;
        using (RawHost admin = new(bench.Server.Address.Port), io = new(bench.Server.Address.Port))
        {
            admin.Initialize();
            ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
            admin.Enable();
            io.Initialize();
            io.Connect(bench.Subsystem.Nqn, 1, controller);
            for (ushort i = 0; i < verifies; i++)
            {
                io.Send(RawHost.Capsule(AdmissionTests.Entry(Opcode.Verify, 2, 0, 0) with { CommandId = i, Dword12 = (pieces << 11) - 1 }));
            }

            await reading.Task.WaitAsync(TimeSpan.FromSeconds(60));
            await bench.Zoned.WriteAsync(0, new byte[4096]);
        }

        while (bench.Server.Connections.Count > before)
        {
            permits.Release();
            await Task.Delay(1);
        }

        Assert.InRange(slow.Count(DeviceCall.Read), 1, (verifies * pieces) - 1);
    }

    [Fact]
    public async Task Truncated_report_counts_all_zones_for_every_selector()
    {
        await using var bench = await Bench.StartAsync(maxOpen: 0);
        const long zone = 1 << 20;
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Open, zone, zone);
        await bench.Zoned.Zones!.AppendAsync(2 * zone, new byte[4096]);
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Finish, 3 * zone, 2 * zone);
        await bench.Zoned.Zones!.AppendAsync(5 * zone, new byte[4096]);
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Close, 5 * zone, zone);
        long[] expected = [8, 3, 1, 1, 1, 2, 0, 0];
        for (uint selector = 0; selector < expected.Length; selector++)
        {
            foreach (bool partial in new[] { false, true })
            {
                byte[] page = new byte[128];
                var completion = await bench.Host.RunAsync(
                    new SubmissionEntry
                    {
                        Opcode = Opcode.ZoneManagementReceive, NamespaceId = 1, Dword12 = 31, Dword13 = (selector << 8)
                            | (partial ? 1u << 16 : 0),
                    },
                    default, page, default);
                Assert.Equal(NvmeStatus.Success, completion.Status);
                Assert.Equal(partial ? Math.Min(expected[selector], 1) : expected[selector], (long)ZoneReport.ReadHeader(page));
            }
        }

        var which = ZoneConditionSet.Full | ZoneConditionSet.Closed;
        var zones = new ZoneDescriptor[2];
        Assert.Equal(new ZoneFindings(2, 3), await bench.Zoned.Zones!.FindAsync(0, which, zones, count: true));
        Assert.Equal(new ZoneFindings(2, 3), await bench.Zoned.Zones!.FindAsync(0, ZoneConditionSet.Empty, zones, count: true));
        long[] found = [.. (await FindAllAsync(bench.Zoned, 2 * zone, ZoneConditionSet.Empty)).Select(z => z.Start)];
        Assert.Equal([6 * zone, 7 * zone], found);
    }

    [Fact]
    public async Task Reset_of_all_zones_resets_runs_and_single_zones()
    {
        await using var bench = await Bench.StartAsync();
        const long zone = 1 << 20;
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Finish, 0, 3 * zone);
        await bench.Zoned.Zones!.AppendAsync(5 * zone, new byte[4096]);
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Finish, 7 * zone, zone);
        await bench.Zoned.Zones!.ManageAsync(ZoneAction.Reset, 0, 8 * zone);
        Assert.Equal(8, (await bench.Zoned.Zones!.FindAsync(0, ZoneConditionSet.Empty, default, count: true)).Matching);
        Assert.Equal(5, Enumerable.Range(0, 8).Sum(z => bench.Namespace.ZoneTraffic[z].Resets));
    }

    [Fact]
    public async Task Large_ranges_are_zeroed_and_deallocated_completely()
    {
        await using var bench = await Bench.StartAsync();
        var storage = new MemoryStorage();
        await storage.SetLengthAsync(192 << 20);
        await using var disk = CheckedDevice.Wrap(new RawDevice(storage));
        bench.Subsystem.Add(new NvmeNamespace(2, disk, 4096, "plain"));
        long[] places = [0, 4096, 15 << 20, 16 << 20, (40 << 20) - 4096, 40 << 20, 100 << 20, (192 << 20) - 4096];
        foreach (byte opcode in new[] { Opcode.WriteZeroes, Opcode.DatasetManagement })
        {
            byte[] block = new byte[4096];
            block.AsSpan().Fill(0x5A);
            foreach (long place in places)
            {
                await disk.WriteAsync(place, block);
            }

            long end = opcode == Opcode.WriteZeroes ? 40 << 20 : 192 << 20;
            byte[] range = new byte[16];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(4), (uint)(end >> 12));
            var completion = await bench.Host.RunAsync(
                opcode == Opcode.WriteZeroes ? new SubmissionEntry { Opcode = opcode, NamespaceId = 2, Dword12 = (uint)(end >> 12) - 1 }
                    : new SubmissionEntry { Opcode = opcode, NamespaceId = 2, Dword11 = 4 },
                opcode == Opcode.WriteZeroes ? default : range, default, default);
            Assert.Equal(NvmeStatus.Success, completion.Status);
            foreach (long place in places)
            {
                byte[] stored = new byte[4096];
                await disk.ReadAsync(place, stored);
                Assert.True(stored.AsSpan().IndexOfAnyExcept(place < end ? (byte)0 : (byte)0x5A) < 0, $"opcode {opcode:x2}, byte {place}");
            }
        }
    }

    private static async Task<ZoneDescriptor[]> FindAllAsync(IBlockDevice disk, long offset, ZoneConditionSet which)
    {
        var zones = new ZoneDescriptor[64];
        return zones[..(await disk.Zones!.FindAsync(offset, which, zones, count: false)).Filled];
    }
}
