using System.Buffers.Binary;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Controller registers, byte for byte.</summary>
public class RegisterTests
{
    [Fact]
    public async Task Registers_have_their_values_after_a_reset()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        byte[] block = new byte[0x80];
        bench.Controller.ReadRegister(0, block);

        // MQES 1023, CQR, TO 30 s; CSS: NVM and all sets; CRMS: CRWMS. VS 2.0, CRTO 30 s; everything else is 0
        Assert.Equal("FF03013C20080008" + "00000200", Convert.ToHexString(block.AsSpan(0, 12)));
        Assert.Equal("3C000000", Convert.ToHexString(block.AsSpan(0x68, 4)));
        block.AsSpan(0, 12).Clear();
        block.AsSpan(0x68, 4).Clear();
        Assert.All(block, b => Assert.Equal(0, b));
    }

    [Fact]
    public async Task Accesses_of_all_widths_see_the_same_bytes()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        byte[] block = new byte[0x70];
        bench.Controller.ReadRegister(0, block);
        for (int width = 1; width <= 8; width *= 2)
        {
            for (int at = 0; at < block.Length; at += width)
            {
                byte[] part = new byte[width];
                bench.Controller.ReadRegister((uint)at, part);
                Assert.Equal(block[at..(at + width)], part);
            }
        }
    }

    [Fact]
    public async Task Queue_addresses_take_halves_and_whole_values_without_the_offset_in_the_page()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        var host = bench.Host;
        host.Write8(Properties.AdminSubmissionQueue, 0x1122_3344_5566_7FFF);
        Assert.Equal(0x1122_3344_5566_7000u, host.Read8(Properties.AdminSubmissionQueue));
        host.Write(Properties.AdminCompletionQueue, 0x8000_1FFF);
        host.Write(Properties.AdminCompletionQueue + 4, 0xF);
        Assert.Equal(0xF_8000_1000u, host.Read8(Properties.AdminCompletionQueue));
        host.Write(Properties.AdminQueueAttributes, uint.MaxValue);
        Assert.Equal(0x0FFF_0FFFu, host.Read(Properties.AdminQueueAttributes));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(8u)]
    [InlineData(0x1Cu)]
    [InlineData(0x38u)]
    [InlineData(0x68u)]
    [InlineData(0x800u)]
    public async Task Read_only_registers_ignore_writes(uint offset)
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        ulong before = bench.Host.Read8(offset & ~7u);
        bench.Host.Write(offset, uint.MaxValue);
        Assert.Equal(before, bench.Host.Read8(offset & ~7u));
    }

    [Fact]
    public async Task Accesses_that_are_not_aligned_or_of_other_widths_are_ignored()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Controller.WriteRegister(Properties.AdminQueueAttributes, new byte[] { 1, 1 });
        bench.Controller.WriteRegister(Properties.AdminQueueAttributes + 1, new byte[] { 1, 1, 1, 1 });
        bench.Controller.WriteRegister(Properties.AdminQueueAttributes, new byte[] { 1 });
        Assert.Equal(0u, bench.Host.Read(Properties.AdminQueueAttributes));
        byte[] beyond = [1, 2, 3, 4];
        bench.Controller.ReadRegister(uint.MaxValue - 3, beyond);
        Assert.Equal(new byte[4], beyond);
    }

    [Fact]
    public async Task Interrupt_mask_is_set_and_cleared_by_its_two_registers()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.Write(Properties.InterruptMaskSet, 0xF0);
        bench.Host.Write(Properties.InterruptMaskClear, 0x30);
        Assert.Equal((0xC0u, 0xC0u), (bench.Host.Read(Properties.InterruptMaskSet), bench.Host.Read(Properties.InterruptMaskClear)));
        bench.Host.Disable();
        Assert.Equal(0u, bench.Host.Read(Properties.InterruptMaskSet));
    }

    [Theory]
    [InlineData(0x460011u)]
    [InlineData(0x460071u)]
    [InlineData(0x4600E1u)]
    [InlineData(0x460861u)]
    [InlineData(0x450061u)]
    [InlineData(0x360061u)]
    public async Task Invalid_configuration_is_a_fatal_status_until_the_controller_is_disabled(uint configuration)
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Host.Enable(configuration: configuration);
        Assert.Equal(Properties.Fatal, bench.Host.Status);
        bench.Host.Disable();
        bench.Host.Enable();
        Assert.Equal(Properties.Ready, bench.Host.Status);
    }

    [Fact]
    public async Task Admin_queues_of_one_entry_are_a_fatal_status()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Host.Write(Properties.AdminQueueAttributes, 31);
        bench.Host.Write(Properties.Configuration, PcieHost.Enabled);
        Assert.Equal(Properties.Fatal, bench.Host.Status);
    }

    [Fact]
    public async Task Firmware_with_the_NVM_command_set_alone_reads_a_block()
    {
        await using var bench = await PcieBench.StartAsync(enables: false);
        bench.Host.Enable(entries: 64, configuration: 0x460001);
        var queue = bench.Host.CreateQueues(1, entries: 16, vector: 0);
        var read = new SubmissionEntry { Opcode = Opcode.Read, NamespaceId = 2, DataAddress = bench.Memory.Allocate(4096), Dword12 = 7 };
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(queue, read));
    }

    [Fact]
    public async Task Shutdown_is_complete_after_the_data_is_durable()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Host.Write(Properties.Configuration, 0x464061);
        PcieHost.WaitUntil(() => (bench.Host.Status & 0xC) == Properties.ShutdownComplete);
        bench.Host.Disable();
        bench.Host.Enable();
        Assert.Equal(Properties.Ready, bench.Host.Status);
    }

    [Fact]
    public async Task Function_reset_clears_registers_and_bus_master()
    {
        await using var bench = await PcieBench.StartAsync();
        bench.Controller.Reset();
        Assert.False(bench.Controller.BusMaster);
        Assert.Equal((0u, 0u, 0u), (
            bench.Host.Status, bench.Host.Read(Properties.Configuration), bench.Host.Read(Properties.AdminQueueAttributes)));
        Assert.Equal(0u, bench.Host.Read8(Properties.AdminSubmissionQueue));
        long calls = bench.Memory.Calls;
        bench.Host.Write(PcieController.DoorbellOffset, 1);
        Assert.Equal(calls, bench.Memory.Calls);
        bench.Host.Enable();
        Assert.Equal(Properties.Ready, bench.Host.Status);
    }

    [Fact]
    public async Task Completion_has_its_fields_where_the_driver_reads_them()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(3, entries: 4);
        for (int i = 0; i < 5; i++)
        {
            int head = queue.Head;
            bench.Host.Run(queue, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 9 });
            byte[] entry = bench.Memory.At(queue.Completion + (ulong)(16 * head), 16).ToArray();
            Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(entry));
            Assert.Equal((i + 1) % 4, BinaryPrimitives.ReadUInt16LittleEndian(entry.AsSpan(8)));
            Assert.Equal(3, BinaryPrimitives.ReadUInt16LittleEndian(entry.AsSpan(10)));
            Assert.Equal(i + 1, BinaryPrimitives.ReadUInt16LittleEndian(entry.AsSpan(12)));

            // phase, invalid namespace (0Bh), do not retry
            Assert.Equal(0x8000 | (0x0B << 1) | (i < 4 ? 1 : 0), BinaryPrimitives.ReadUInt16LittleEndian(entry.AsSpan(14)));
        }
    }
}
