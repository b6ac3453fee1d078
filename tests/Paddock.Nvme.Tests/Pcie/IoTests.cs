using System.Buffers.Binary;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Reads, writes and zone commands through queues in the host's memory.</summary>
public class IoTests
{
    private const uint Zoned = 1, Plain = 2;

    [Theory]
    [InlineData(512, 0)]
    [InlineData(4096, 0)]
    [InlineData(4096, 512)]
    [InlineData(8192, 0)]
    [InlineData(8192, 4)]
    [InlineData(65536, 2048)]
    [InlineData(1 << 20, 0)]
    [InlineData(1 << 20, 3584)]
    public async Task Data_written_by_pages_is_read_back(int length, int offset)
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        var from = new PageList(bench.Memory, length, offset);
        var to = new PageList(bench.Memory, length, offset);
        byte[] data = new byte[length];
        new Random(length).NextBytes(data);
        from.Write(data);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, from.Describe(Entry(Opcode.Write, Plain, 8, length))));
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, to.Describe(Entry(Opcode.Read, Plain, 8, length))));
        Assert.Equal(data, to.Read());
    }

    [Fact]
    public async Task Append_returns_its_block_and_the_report_shows_the_pointer()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        var pages = new PageList(bench.Memory, 4096, 0);
        for (ulong i = 0; i < 3; i++)
        {
            var done = bench.Host.Run(queue, pages.Describe(Entry(Opcode.ZoneAppend, Zoned, 2048, 4096)));
            PcieHost.Expect(NvmeStatus.Success, done);
            Assert.Equal(2048 + (8 * i), done.Result);
        }

        var report = new SubmissionEntry
        {
            Opcode = Opcode.ZoneManagementReceive, NamespaceId = Zoned, Dword10 = 2048, Dword12 = (4096 / 4) - 1, Dword13 = 1 << 16,
        };
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, pages.Describe(report)));
        Assert.Equal(2048UL + 24, BinaryPrimitives.ReadUInt64LittleEndian(pages.Read().AsSpan(64 + 24)));
    }

    [Fact]
    public async Task Zone_writes_of_one_queue_reach_the_zone_in_order()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 64);
        var pages = new PageList(bench.Memory, 4096, 0);
        for (int i = 0; i < 60; i++)
        {
            bench.Host.Submit(queue, pages.Describe(Entry(Opcode.Write, Zoned, (ulong)(8 * i), 4096)), rings: false);
        }

        bench.Host.Ring(queue);
        for (int i = 0; i < 60; i++)
        {
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Wait(queue));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Commands_run_with_and_without_shadow_doorbells(bool shadow)
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 8);
        if (shadow)
        {
            bench.Host.UseShadowDoorbells();
        }

        var pages = new PageList(bench.Memory, 4096, 0);
        for (int i = 0; i < 100; i++)
        {
            for (int k = 0; k < 5; k++)
            {
                bench.Host.Submit(queue, pages.Describe(Entry(Opcode.Read, Plain, (ulong)k, 4096)));
            }

            for (int k = 0; k < 5; k++)
            {
                PcieHost.Expect(NvmeStatus.Success, bench.Host.Wait(queue));
            }
        }
    }

    private static SubmissionEntry Entry(byte opcode, uint ns, ulong block, int length) => new()
    {
        Opcode = opcode, NamespaceId = ns, Dword10 = (uint)block, Dword11 = (uint)(block >> 32),
        Dword12 = (uint)((length / PcieBench.BlockSize) - 1),
    };
}
