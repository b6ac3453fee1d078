using Paddock.Faults;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Resets, lost memory and the end of a controller, with commands in flight.</summary>
public class ResetTests
{
    private const uint SlowNamespace = 3;

    private static readonly SubmissionEntry Flush = new() { Opcode = Opcode.Flush, NamespaceId = 2 };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reset_drops_held_commands_and_writes_nothing_after_it(bool function)
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest });
        await HoldAsync(bench, queue, 10);
        if (function)
        {
            bench.Controller.Reset();
        }
        else
        {
            bench.Host.Write(Properties.Configuration, PcieHost.Enabled & ~1u);
        }

        Assert.Equal(0u, bench.Host.Status);
        long calls = bench.Memory.Calls;
        await Eventually.IsAsync(() => Task.FromResult(bench.Faults.Rules[0].Waiting), static waiting => waiting == 0);
        Assert.Equal(calls, bench.Memory.Calls);
        Assert.Null(bench.Host.Take(queue, rings: false));
        bench.Faults.Clear();
        bench.Host.Enable();
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(bench.Host.CreateQueues(1), Flush));
        Assert.Equal(0, bench.Target.BytesInMemory);
    }

    [Fact]
    public async Task Access_that_waits_for_the_host_fails_before_a_reset_is_over()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Memory.HoldsWrites = true;
        bench.Host.Submit(queue, Flush);
        PcieHost.WaitUntil(() => bench.Memory.IsHolding);
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled & ~1u);
        Assert.False(bench.Memory.IsHolding);
        long calls = bench.Memory.Calls;
        bench.Memory.HoldsWrites = false;
        await bench.Controller.QuietAsync();
        Assert.Equal(calls, bench.Memory.Calls);
    }

    [Fact]
    public async Task Shutdowns_requested_meanwhile_share_one_flush()
    {
        await using var bench = await PcieBench.StartAsync();
        var slow = AddSlow(bench);
        for (int i = 0; i < 50; i++)
        {
            bench.Host.Write(Properties.Configuration, PcieHost.Enabled | (1u << Properties.ShutdownShift));
            bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
        }

        await slow.Started.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(Properties.ShutdownRunning, bench.Host.Status & 0xC);
        slow.Ends.SetResult();
        PcieHost.WaitUntil(() => (bench.Host.Status & 0xC) == Properties.ShutdownComplete);
        Assert.InRange(slow.Flushes, 1, 2);
    }

    [Fact]
    public async Task Controller_is_not_ready_until_the_disk_has_ended_earlier_commands()
    {
        await using var bench = await PcieBench.StartAsync();
        var slow = AddSlow(bench);
        var queue = bench.Host.CreateQueues(1);
        await BeginSlowFlushAsync(bench, queue, slow);
        for (int i = 0; i < 3; i++)
        {
            bench.Host.Write(Properties.Configuration, PcieHost.Enabled & ~1u);
            bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
            Assert.Equal(0u, bench.Host.Status);
        }

        slow.Ends.SetResult();
        PcieHost.WaitUntil(() => bench.Host.Status == Properties.Ready);
        Assert.Null(bench.Host.Take(queue, rings: false));
    }

    [Fact]
    public async Task Reset_ends_the_deletion_of_a_queue_that_waits_for_its_commands()
    {
        await using var bench = await PcieBench.StartAsync();
        var slow = AddSlow(bench);
        var queue = bench.Host.CreateQueues(1);
        await BeginSlowFlushAsync(bench, queue, slow);
        bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = AdminOpcode.DeleteIoSubmissionQueue, Dword10 = 1 });
        PcieHost.Expect(NvmeStatus.InvalidOpcode, bench.Host.Run(new SubmissionEntry { Opcode = 0xBF }));
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled & ~1u);
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
        slow.Ends.SetResult();
        PcieHost.WaitUntil(() => bench.Host.Status == Properties.Ready);
    }

    [Fact]
    public async Task End_by_the_server_without_bus_master_is_a_fatal_status()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.CreateQueues(1);
        bench.Controller.BusMaster = false;
        bench.Target.DropControllers();
        PcieHost.WaitUntil(() => bench.Host.Status == (Properties.Ready | Properties.Fatal));
    }

    [Fact]
    public async Task Queue_memory_that_vanishes_is_a_fatal_status_until_the_next_reset()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Memory.Map(queue.Completion, write: false);
        bench.Host.Submit(queue, Flush);
        PcieHost.WaitUntil(() => (bench.Host.Status & Properties.Fatal) != 0);
        Assert.Contains("completion queue", bench.Controller.Fault, StringComparison.Ordinal);
        bench.Memory.Map(queue.Completion);
        bench.Host.Disable();
        bench.Host.Enable();
        queue = bench.Host.CreateQueues(1);
        bench.Memory.Map(queue.Submission, read: false);
        bench.Host.Submit(queue, Flush);
        PcieHost.WaitUntil(() => (bench.Host.Status & Properties.Fatal) != 0);
        Assert.Contains("submission queue 1", bench.Controller.Fault, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_bus_master_no_memory_is_touched_and_work_resumes_with_it()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        bench.Controller.BusMaster = false;
        long calls = bench.Memory.Calls;
        bench.Host.Submit(queue, Flush);
        Assert.Null(bench.Host.Take(queue));
        Assert.Equal(calls, bench.Memory.Calls);
        bench.Controller.BusMaster = true;
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Wait(queue));
    }

    [Fact]
    public async Task End_by_the_server_is_a_fatal_status_and_the_host_may_reset()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.CreateQueues(1);
        bench.Target.DropControllers();
        PcieHost.WaitUntil(() => bench.Host.Status == (Properties.Ready | Properties.Fatal));
        bench.Host.Disable();
        bench.Host.Enable();
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(bench.Host.CreateQueues(1), Flush));
    }

    [Fact]
    public async Task End_of_the_controller_ends_held_commands_and_removes_it_from_the_subsystem()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        await HoldAsync(bench, queue, 3);
        Assert.NotEmpty(bench.Subsystem.Controllers());
        await bench.Controller.DisposeAsync();
        Assert.Empty(bench.Subsystem.Controllers());
        Assert.Equal(0, bench.Faults.Rules[0].Waiting);
        Assert.Equal(0, bench.Target.BytesInMemory);
        bench.Host.Write(PcieController.DoorbellOffset, 1);
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled & ~1u);
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
        Assert.Equal(0u, bench.Host.Status);
        Assert.Null(bench.Controller.Fault);
    }

    [Fact]
    public async Task Controller_keeps_its_identifier_over_resets()
    {
        await using var bench = await PcieBench.StartAsync();
        ushort id = bench.Controller.Id;
        ulong page = bench.Memory.Allocate(4096);
        for (int i = 0; i < 3; i++)
        {
            bench.Host.Disable();
            bench.Host.Enable();
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(new SubmissionEntry
            {
                Opcode = AdminOpcode.Identify, DataAddress = page, Dword10 = 1,
            }));
            Assert.Equal(id, BitConverter.ToUInt16(bench.Memory.At(page + 78, 2)));
        }
    }

    [Fact]
    public async Task Data_beyond_the_limit_of_a_controller_waits_for_earlier_data()
    {
        await using var bench = await PcieBench.StartAsync(limits: new NvmeTargetOptions { ConnectionBytes = 64 << 10 });
        var queue = bench.Host.CreateQueues(1);
        bench.Faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang, Count = 0, Operations = DeviceOperations.Read });
        ulong page = bench.Memory.Allocate(4096);
        for (int i = 0; i < 50; i++)
        {
            bench.Host.Submit(queue, new SubmissionEntry { Opcode = Opcode.Read, NamespaceId = 2, DataAddress = page, Dword12 = 7 });
        }

        await Eventually.IsAsync(() => Task.FromResult(bench.Faults.Rules[0].Waiting), static waiting => waiting >= 16);
        Assert.InRange(bench.Target.BytesInMemory, 1, 40 * 8192);
        bench.Faults.Clear();
        for (int i = 0; i < 50; i++)
        {
            PcieHost.Expect(NvmeStatus.Success, bench.Host.Wait(queue));
        }
    }

    private static SlowDevice AddSlow(PcieBench bench)
    {
        var slow = new SlowDevice(MemoryDisk.Of(8 << 20));
        bench.Subsystem.Add(new NvmeNamespace(SlowNamespace, slow, 512, "slow"));
        return slow;
    }

    private static Task BeginSlowFlushAsync(PcieBench bench, HostQueuePair queue, SlowDevice slow)
    {
        bench.Host.Submit(queue, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = SlowNamespace });
        return slow.Started.Task.WaitAsync(TestContext.Current.CancellationToken);
    }

    private static async Task HoldAsync(PcieBench bench, HostQueuePair queue, int count)
    {
        bench.Faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang, Count = 0 });
        ulong page = bench.Memory.Allocate(4096);
        for (int i = 0; i < count; i++)
        {
            byte opcode = i % 2 == 0 ? Opcode.Read : Opcode.Compare;
            bench.Host.Submit(queue, new SubmissionEntry { Opcode = opcode, NamespaceId = 2, DataAddress = page, Dword12 = 7 });
        }

        await Eventually.IsAsync(() => Task.FromResult(bench.Faults.Rules[0].Waiting), waiting => waiting == count);
    }
}
