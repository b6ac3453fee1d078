using Paddock.Nvme.Pcie;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Vectors, the pin, and the features that coalesce interrupts.</summary>
public class InterruptTests
{
    private static readonly SubmissionEntry Flush = new() { Opcode = Opcode.Flush, NamespaceId = 2 };

    [Fact]
    public async Task Completions_raise_the_vector_of_their_queue()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1, vector: 5);
        int admin = bench.Interrupts.Of(0);
        Assert.Equal((2, 0), (admin, bench.Interrupts.Of(5)));
        bench.Host.Run(queue, Flush);
        PcieHost.WaitUntil(() => bench.Interrupts.Of(5) == 1);
        Assert.Equal(admin, bench.Interrupts.Of(0));
        Assert.False(bench.Interrupts.Pin);
    }

    [Fact]
    public async Task Batch_of_completions_raises_one_interrupt()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        var read = new SubmissionEntry { Opcode = 0x70, NamespaceId = 2 };
        for (int i = 0; i < 16; i++)
        {
            bench.Host.Submit(queue, read, rings: false);
        }

        bench.Host.Ring(queue);
        for (int i = 0; i < 16; i++)
        {
            PcieHost.Expect(NvmeStatus.InvalidOpcode, bench.Host.Wait(queue));
        }

        PcieHost.WaitUntil(() => bench.Interrupts.Of(1) == 1);
    }

    [Fact]
    public async Task Queue_without_interrupts_raises_none()
    {
        await using var bench = await PcieBench.StartAsync();
        ulong completion = bench.Memory.Allocate(4096), submission = bench.Memory.Allocate(4096);
        var create = PcieHost.CreateCompletion(1, completion, 16, 1);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(new SubmissionEntry
        {
            Opcode = create.Opcode, DataAddress = completion, Dword10 = create.Dword10, Dword11 = 1,
        }));
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(PcieHost.CreateSubmission(1, submission, 16, 1)));
        bench.Host.Run(new HostQueuePair(1, submission, completion, 16), Flush);
        bench.Host.Run(Flush);
        Assert.Equal(0, bench.Interrupts.Of(1));
    }

    [Fact]
    public async Task Pin_is_asserted_until_the_host_has_read_the_entries()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Interrupts.IsMessageSignalled = false;
        bench.Host.Enable();
        var admin = bench.Host.Admin;
        bench.Host.Submit(admin, new SubmissionEntry { Opcode = 0xFF });
        PcieHost.WaitUntil(() => bench.Interrupts.Pin);
        bench.Host.Write(Properties.InterruptMaskSet, 1);
        Assert.False(bench.Interrupts.Pin);
        bench.Host.Write(Properties.InterruptMaskClear, 1);
        Assert.True(bench.Interrupts.Pin);
        Assert.NotNull(bench.Host.Take(admin));
        PcieHost.WaitUntil(() => !bench.Interrupts.Pin);
        Assert.Equal(0, bench.Interrupts.Of(0));
        bench.Host.Submit(admin, new SubmissionEntry { Opcode = 0xFF });
        PcieHost.WaitUntil(() => bench.Interrupts.Pin);
        bench.Controller.Reset();
        Assert.False(bench.Interrupts.Pin);
    }

    [Fact]
    public async Task Pin_that_the_host_unmasks_follows_what_it_has_read()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Interrupts.IsMessageSignalled = false;
        bench.Controller.SettlePin();
        Assert.False(bench.Interrupts.PinAtUnmask);
        bench.Host.Enable();
        for (int i = 0; i < 1000; i++)
        {
            bench.Interrupts.PinAtUnmask = null;
            bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = 0xFF });
            PcieHost.WaitUntil(() => bench.Interrupts.Pin);
            Assert.NotNull(bench.Host.Take(bench.Host.Admin));
            bench.Controller.SettlePin();
            PcieHost.WaitUntil(() => bench.Interrupts.PinAtUnmask is not null);
            Assert.False(bench.Interrupts.PinAtUnmask);
        }
    }

    [Fact]
    public void Aggregated_completions_raise_an_interrupt_at_the_threshold()
    {
        var settings = new InterruptSettings(4);
        var interrupts = new InterruptDouble(4);
        var signals = new VectorSignals(interrupts, settings, 4);
        Assert.Equal(NvmeStatus.Success, settings.Set(InterruptSettings.Coalescing, 0xFF03));
        Add(signals, 1, 3);
        Assert.Equal((0, true), (interrupts.Of(1), signals.IsWaiting));
        Add(signals, 1, 1);
        Assert.Equal((1, false), (interrupts.Of(1), signals.IsWaiting));
        Add(signals, 0, 1);
        Assert.Equal(1, interrupts.Of(0));
        Assert.Equal(NvmeStatus.Success, settings.Set(InterruptSettings.VectorConfiguration, 2 | (1 << 16)));
        Add(signals, 2, 1);
        Assert.Equal(1, interrupts.Of(2));
        Assert.Equal(NvmeStatus.Success, settings.Set(InterruptSettings.Coalescing, 0x0003));
        Add(signals, 1, 1);
        Assert.Equal(2, interrupts.Of(1));
    }

    [Fact]
    public async Task Aggregated_completion_is_signalled_when_its_time_has_passed()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(new SubmissionEntry
        {
            Opcode = AdminOpcode.SetFeatures, Dword10 = InterruptSettings.Coalescing, Dword11 = 0x0520,
        }));
        bench.Host.Run(queue, Flush);
        PcieHost.WaitUntil(() => bench.Interrupts.Of(1) == 1);
    }

    [Fact]
    public async Task Features_of_interrupts_are_returned_and_return_to_their_defaults_at_a_reset()
    {
        await using var bench = await PcieBench.StartAsync();
        Assert.Equal(NvmeStatus.Success, Feature(bench, AdminOpcode.SetFeatures, 8, 0x1234).Status);
        Assert.Equal((NvmeStatus.Success, 0x1234u), Get(bench, 8, 0));
        Assert.Equal(NvmeStatus.Success, Feature(bench, AdminOpcode.SetFeatures, 9, 3 | (1 << 16)).Status);
        Assert.Equal((NvmeStatus.Success, 3u | (1 << 16)), Get(bench, 9, 3));
        Assert.Equal((NvmeStatus.Success, 4u), Get(bench, 9, 4));
        Assert.Equal(NvmeStatus.InvalidField, Get(bench, 9, 9).Status);
        Assert.Equal(NvmeStatus.InvalidField, Feature(bench, AdminOpcode.SetFeatures, 9, 9).Status);
        bench.Host.Disable();
        bench.Host.Enable();
        Assert.Equal((0u, 3u), (Get(bench, 8, 0).Result, Get(bench, 9, 3).Result));
    }

    private static (NvmeStatus Status, uint Result) Get(PcieBench bench, uint feature, uint value)
        => Feature(bench, AdminOpcode.GetFeatures, feature, value);

    private static (NvmeStatus Status, uint Result) Feature(PcieBench bench, byte opcode, uint feature, uint value)
    {
        var done = bench.Host.Run(new SubmissionEntry { Opcode = opcode, Dword10 = feature, Dword11 = value });
        return (done.Status, (uint)done.Result);
    }

    private static void Add(VectorSignals signals, int vector, int completions)
    {
        signals.Add(vector, completions);
        signals.Flush();
    }
}
