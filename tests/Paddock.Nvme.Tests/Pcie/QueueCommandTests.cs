using Paddock.Faults;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Creating and deleting queues: every rule of the command.</summary>
public class QueueCommandTests
{
    private const uint Contiguous = 1, Interrupts = 2;

    public static TheoryData<uint, uint, ulong, int> Completions => new()
    {
        { 0 | (15 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 9 | (15 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 0xFFFF | (15 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 1 | (15 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 2 | (0 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueSizeInvalid },
        { 2 | (1024 << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueSizeInvalid },
        { 2 | (0xFFFFu << 16), 3 | (1 << 16), 0, (int)NvmeStatus.QueueSizeInvalid },
        { 2 | (15 << 16), 3 | (9 << 16), 0, (int)NvmeStatus.InterruptVectorInvalid },
        { 2 | (15 << 16), Contiguous | (9 << 16), 0, (int)NvmeStatus.Success },
        { 2 | (15 << 16), Interrupts | (1 << 16), 0, (int)NvmeStatus.InvalidField },
        { 2 | (15 << 16), 3 | (1 << 16), 512, (int)NvmeStatus.PrpOffsetInvalid },
        { 2 | (1023 << 16), 3 | (8 << 16), 0, (int)NvmeStatus.Success },
    };

    public static TheoryData<uint, uint, ulong, int> Submissions => new()
    {
        { 0 | (15 << 16), 1 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 9 | (15 << 16), 1 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 1 | (15 << 16), 1 | (1 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 2 | (15 << 16), 1 | (0 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 2 | (15 << 16), 1 | (9 << 16), 0, (int)NvmeStatus.QueueIdInvalid },
        { 2 | (15 << 16), 1 | (2 << 16), 0, (int)NvmeStatus.CompletionQueueInvalid },
        { 2 | (0 << 16), 1 | (1 << 16), 0, (int)NvmeStatus.QueueSizeInvalid },
        { 2 | (1024 << 16), 1 | (1 << 16), 0, (int)NvmeStatus.QueueSizeInvalid },
        { 2 | (15 << 16), 0 | (1 << 16), 0, (int)NvmeStatus.InvalidField },
        { 2 | (15 << 16), 1 | (1 << 16), 64, (int)NvmeStatus.PrpOffsetInvalid },
        { 2 | (15 << 16), 7 | (1 << 16), 0, (int)NvmeStatus.Success },
    };

    [Theory]
    [MemberData(nameof(Completions))]
    public async Task Completion_queue_is_created_by_the_rules(uint dword10, uint dword11, ulong offset, int expected)
        => await CreateAsync(AdminOpcode.CreateIoCompletionQueue, dword10, dword11, offset, expected);

    [Theory]
    [MemberData(nameof(Submissions))]
    public async Task Submission_queue_is_created_by_the_rules(uint dword10, uint dword11, ulong offset, int expected)
        => await CreateAsync(AdminOpcode.CreateIoSubmissionQueue, dword10, dword11, offset, expected);

    [Fact]
    public async Task Queues_beyond_the_granted_number_are_refused()
    {
        await using var bench = await PcieBench.StartAsync();

        // three submission queues, two completion queues, 0's based
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(new SubmissionEntry
        {
            Opcode = AdminOpcode.SetFeatures, Dword10 = 0x07, Dword11 = 2 | (1 << 16),
        }));
        ulong page = bench.Memory.Allocate(4 * 4096);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(PcieHost.CreateCompletion(2, page, 16, 0)));
        PcieHost.Expect(NvmeStatus.QueueIdInvalid, bench.Host.Run(PcieHost.CreateCompletion(3, page + 4096, 16, 0)));
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(Submission(3, page + 8192)));
        PcieHost.Expect(NvmeStatus.QueueIdInvalid, bench.Host.Run(Submission(4, page + 12288)));

        static SubmissionEntry Submission(uint id, ulong address) => new()
        {
            Opcode = AdminOpcode.CreateIoSubmissionQueue, DataAddress = address, Dword10 = id | (15 << 16), Dword11 = 1 | (2 << 16),
        };
    }

    [Fact]
    public async Task Queues_need_entry_sizes_in_the_configuration()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Host.Enable(configuration: 0x61);
        var create = PcieHost.CreateCompletion(1, bench.Memory.Allocate(4096), 16, 0);
        PcieHost.Expect(NvmeStatus.QueueSizeInvalid, bench.Host.Run(create));
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(create));
    }

    [Fact]
    public async Task Completion_queue_in_use_cannot_be_deleted()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.CreateQueues(1);
        Assert.Equal(NvmeStatus.QueueDeletionInvalid, Delete(bench, AdminOpcode.DeleteIoCompletionQueue, 1));
        Assert.Equal(NvmeStatus.Success, Delete(bench, AdminOpcode.DeleteIoSubmissionQueue, 1));
        Assert.Equal(NvmeStatus.QueueIdInvalid, Delete(bench, AdminOpcode.DeleteIoSubmissionQueue, 1));
        Assert.Equal(NvmeStatus.Success, Delete(bench, AdminOpcode.DeleteIoCompletionQueue, 1));
        Assert.Equal(NvmeStatus.QueueIdInvalid, Delete(bench, AdminOpcode.DeleteIoCompletionQueue, 1));
        Assert.Equal(NvmeStatus.QueueIdInvalid, Delete(bench, AdminOpcode.DeleteIoSubmissionQueue, 0));
        Assert.Equal(NvmeStatus.QueueIdInvalid, Delete(bench, AdminOpcode.DeleteIoCompletionQueue, 0));
        var again = bench.Host.CreateQueues(1);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(again, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 2 }));
    }

    [Fact]
    public async Task Deletion_of_a_submission_queue_ends_its_held_commands_first()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang });
        bench.Host.Submit(queue, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 2 });
        await Eventually.IsAsync(() => Task.FromResult(bench.Faults.Rules[0].Waiting), static waiting => waiting == 1);
        Assert.Equal(NvmeStatus.Success, Delete(bench, AdminOpcode.DeleteIoSubmissionQueue, 1));
        PcieHost.Expect(NvmeStatus.QueueDeleted, bench.Host.Wait(queue));
    }

    [Fact]
    public async Task Number_of_queues_is_set_before_they_are_created()
    {
        await using var bench = await PcieBench.StartAsync();
        var set = new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = 7, Dword11 = 3 | (99 << 16) };
        var done = bench.Host.Run(set);
        Assert.Equal((NvmeStatus.Success, 3u | (7 << 16)), (done.Status, (uint)done.Result));
        bench.Host.CreateQueues(1);
        PcieHost.Expect(NvmeStatus.CommandSequence, bench.Host.Run(set));
    }

    [Theory]
    [InlineData(0x41)]
    [InlineData(0x42)]
    [InlineData(0x80)]
    [InlineData(0xC0)]
    [InlineData(0x01)]
    public async Task Admin_commands_use_PRPs_and_are_not_fused(byte flags)
    {
        await using var bench = await PcieBench.StartAsync();
        foreach (byte opcode in new[] { AdminOpcode.Identify, AdminOpcode.CreateIoCompletionQueue, AdminOpcode.AsyncEventRequest })
        {
            PcieHost.Expect(NvmeStatus.InvalidField, bench.Host.Run(new SubmissionEntry
            {
                Opcode = opcode, Flags = flags, Dword10 = 1, DataAddress = bench.Memory.Allocate(4096),
            }));
        }
    }

    [Theory]
    [InlineData(Opcode.Fabrics)]
    [InlineData(AdminOpcode.KeepAlive)]
    [InlineData((byte)0xFF)]
    public async Task Commands_of_fabrics_do_not_exist(byte opcode)
    {
        await using var bench = await PcieBench.StartAsync();
        PcieHost.Expect(NvmeStatus.InvalidOpcode, bench.Host.Run(new SubmissionEntry { Opcode = opcode, NamespaceId = 4 }));
    }

    [Fact]
    public async Task Shadow_doorbells_need_whole_pages_and_may_be_switched_off()
    {
        await using var bench = await PcieBench.StartAsync();
        ulong page = bench.Memory.Allocate(8192);
        var configure = new SubmissionEntry { Opcode = AdminOpcode.DoorbellBufferConfig, DataAddress = page + 64, Prp2 = page + 4096 };
        PcieHost.Expect(NvmeStatus.InvalidField, bench.Host.Run(configure));
        await using var without = await PcieBench.StartAsync(new PcieOptions { IoQueues = 1, ShadowDoorbells = false });
        PcieHost.Expect(NvmeStatus.InvalidOpcode, without.Host.Run(configure));
    }

    [Fact]
    public async Task Command_identifier_in_use_is_a_conflict()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang });
        queue.NextCommand = 7;
        bench.Host.Submit(queue, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 2 });
        PcieHost.WaitUntil(() => bench.Faults.Rules[0].Waiting == 1);
        queue.NextCommand = 7;
        var second = new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 1 };
        PcieHost.Expect(NvmeStatus.CommandIdConflict, bench.Host.Run(queue, second));
        var abort = bench.Host.Run(new SubmissionEntry { Opcode = AdminOpcode.Abort, Dword10 = 1 | (7 << 16) });
        Assert.Equal((NvmeStatus.Success, 0u), (abort.Status, (uint)abort.Result));
        PcieHost.Expect(NvmeStatus.AbortRequested, bench.Host.Wait(queue));
    }

    private static NvmeStatus Delete(PcieBench bench, byte opcode, uint id)
        => bench.Host.Run(new SubmissionEntry { Opcode = opcode, Dword10 = id }).Status;

    // queue pair 1 exists
    private static async Task CreateAsync(byte opcode, uint dword10, uint dword11, ulong offset, int expected)
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.CreateQueues(1);
        var create = new SubmissionEntry
        {
            Opcode = opcode, DataAddress = bench.Memory.Allocate(64 << 10) + offset, Dword10 = dword10, Dword11 = dword11,
        };
        PcieHost.Expect((NvmeStatus)expected, bench.Host.Run(create));
    }
}
