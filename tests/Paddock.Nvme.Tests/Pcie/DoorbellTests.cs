using System.Buffers.Binary;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Doorbells, shadow doorbells, and completion queues that fill up.</summary>
public class DoorbellTests
{
    private static readonly SubmissionEntry Flush = new() { Opcode = Opcode.Flush, NamespaceId = 2 };

    [Theory]
    [InlineData(2, 64u, 1u)]
    [InlineData(3, 64u, 1u)]
    [InlineData(3, 5u, 1u)]
    [InlineData(0, 32u, 1u)]
    [InlineData(4, 0u, 0u)]
    [InlineData(17, 0u, 0u)]
    [InlineData(18, 1u, 0u)]
    [InlineData(1000, 1u, 0u)]
    public async Task Invalid_doorbell_is_an_error_event_and_changes_nothing(int index, uint value, uint information)
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 64);
        bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest });
        bench.Host.Write(PcieController.DoorbellOffset + (uint)(4 * index), value);
        if ((index & 1) != 0 && index < 4)
        {
            // the position in a completion queue is looked at when the worker is awake
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, Flush));
        }

        var told = bench.Host.Wait(bench.Host.Admin);
        Assert.Equal((NvmeStatus.Success, (information << 8) | (1 << 16)), (told.Status, (uint)told.Result));
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, Flush));
    }

    [Fact]
    public async Task Error_event_is_repeated_once_the_error_log_has_been_read()
    {
        await using var bench = await PcieBench.StartAsync();
        var page = bench.Memory.Allocate(4096);
        for (int i = 0; i < 3; i++)
        {
            bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest });
            bench.Host.Write(PcieController.DoorbellOffset + 8, 1);
            Assert.Equal(1u << 16, (uint)bench.Host.Wait(bench.Host.Admin).Result);
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(new SubmissionEntry
            {
                Opcode = AdminOpcode.GetLogPage, DataAddress = page, Dword10 = 1 | (15 << 16),
            }));
        }
    }

    [Fact]
    public async Task Full_completion_queue_waits_for_the_host_and_overwrites_nothing()
    {
        await using var bench = await PcieBench.StartAsync();
        var host = bench.Host;
        ulong completion = host.Memory.Allocate(4096), submission = host.Memory.Allocate(4096);
        PcieHost.Expect(NvmeStatus.Success, host.Run(PcieHost.CreateCompletion(1, completion, 4, 1)));
        PcieHost.Expect(NvmeStatus.Success, host.Run(PcieHost.CreateSubmission(1, submission, 32, 1)));
        var submit = new HostQueuePair(1, submission, completion, 32);
        var take = new HostQueuePair(1, submission, completion, 4);
        for (int i = 0; i < 20; i++)
        {
            host.Submit(submit, Flush);
        }

        // flushes run on other threads: they may end in any order
        var completed = new SortedSet<int>();
        for (int i = 1; i <= 20; i++)
        {
            CompletionEntry? entry = null;
            PcieHost.WaitUntil(() => (entry = host.Take(take, rings: false)) is not null);
            Assert.True(completed.Add(entry!.Value.CommandId));
            if (i % 3 == 0)
            {
                // no more than three completions fit
                Assert.Null(host.Take(take, rings: false));
                host.RingHead(take);
            }
        }

        Assert.Equal(Enumerable.Range(1, 20), completed);
    }

    [Fact]
    public async Task Event_index_is_set_before_the_worker_sleeps_and_its_doorbell_wakes_it()
    {
        await using var bench = await PcieBench.StartAsync(new PcieOptions { IoQueues = 1, Vectors = 2, Polling = TimeSpan.Zero });
        var queue = bench.Host.CreateQueues(1, entries: 16);
        bench.Host.UseShadowDoorbells();
        for (int i = 0; i < 50; i++)
        {
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, Flush));
            uint tail = (uint)queue.Tail;
            PcieHost.WaitUntil(() => BinaryPrimitives.ReadUInt32LittleEndian(bench.Memory.At(bench.Host.Events + 8, 4)) == tail);
        }
    }

    [Fact]
    public async Task Entries_of_a_new_queue_are_zeroed_in_the_shadow_pages()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.UseShadowDoorbells();
        bench.Memory.At(bench.Host.Shadow, 4096).Fill(0x55);
        bench.Memory.At(bench.Host.Events, 4096).Fill(0x55);
        bench.Host.CreateQueues(2);
        Assert.Equal(new byte[8], bench.Memory.At(bench.Host.Shadow + 16, 8).ToArray());
        Assert.Equal(new byte[8], bench.Memory.At(bench.Host.Events + 16, 8).ToArray());
        Assert.Equal(0x55, bench.Memory.At(bench.Host.Shadow + 24, 1)[0]);
    }

    [Fact]
    public async Task Positions_of_existing_queues_go_into_the_shadow_pages()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 8);
        for (int i = 0; i < 5; i++)
        {
            bench.Host.Run(queue, Flush);
        }

        bench.Host.UseShadowDoorbells();
        Assert.Equal("0500000005000000", Convert.ToHexString(bench.Memory.At(bench.Host.Shadow + 8, 8)));
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, Flush));
    }

    [Fact]
    public async Task Invalid_value_in_the_shadow_page_is_reported_once_and_ignored()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, entries: 8);
        bench.Host.UseShadowDoorbells();
        BinaryPrimitives.WriteUInt32LittleEndian(bench.Memory.At(bench.Host.Shadow + 8, 4), 8);
        var told = bench.Host.Run(new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest });
        Assert.Equal((1u << 8) | (1 << 16), (uint)told.Result);
        BinaryPrimitives.WriteUInt32LittleEndian(bench.Memory.At(bench.Host.Shadow + 8, 4), 0);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, Flush));
    }

    [Fact]
    public async Task Shadow_pages_that_vanish_fail_the_controller_alone()
    {
        await using var bench = await PcieBench.StartAsync();
        await using var other = new PcieController(
            bench.Target, bench.Subsystem, new PcieOptions(), new HostMemory(4096), new InterruptDouble());
        var queue = bench.Host.CreateQueues(1, entries: 8);
        bench.Host.UseShadowDoorbells();
        bench.Memory.Map(bench.Host.Shadow, read: false);
        bench.Host.Write(PcieController.DoorbellOffset + 8, 1);
        PcieHost.WaitUntil(() => (bench.Host.Status & Properties.Fatal) != 0);
        Assert.Contains("shadow", bench.Controller.Fault, StringComparison.Ordinal);
        Assert.Null(other.Fault);
        bench.Host.Disable();
        bench.Host.Enable();
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(bench.Host.CreateQueues(1), Flush));
    }

    [Fact]
    public async Task Doorbells_that_the_host_writes_into_memory_are_looked_at()
    {
        var doorbells = new OwnDoorbells(2 * 9);
        await using var bench = await PcieBench.StartAsync(new PcieOptions { IoQueues = 8, Vectors = 9, MappedDoorbells = doorbells });
        var queue = bench.Host.CreateQueues(1, entries: 8);
        for (int i = 0; i < 20; i++)
        {
            bench.Host.Submit(queue, Flush, rings: false);
            doorbells.Write(2, (uint)queue.Tail);
            CompletionEntry? found = null;
            PcieHost.WaitUntil(() => (found = bench.Host.Take(queue, rings: false)) is not null);
            PcieHost.Expect(NvmeStatus.Success, found!.Value);
            doorbells.Write(3, (uint)queue.Head);
        }
    }
}
