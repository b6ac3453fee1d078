using System.Text;
using System.Text.Json;
using Paddock.Faults;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Nvme.Tests;

/// <summary>Identify, logs and features of an I/O controller without namespace management, byte for byte.</summary>
public class AdminTests
{
    [Fact]
    public async Task Block_status_log_has_its_length_and_no_namespace()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        Assert.Equal([16, 0, 0, 0], admin.Log(0x0E, 4).Data);
        var (status, page) = admin.Log(0x0E, 16);
        Assert.Equal(NvmeStatus.Success, status);
        Assert.Equal([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], page);
    }

    [Fact]
    public async Task Namespace_reports_the_cluster_as_preferred_granularity()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        var (status, ns) = admin.Identify(0x00, 1);
        Assert.Equal(NvmeStatus.Success, status);
        Assert.Equal(16, ns![24]);
        foreach (int field in new[] { 64, 66, 68, 70, 72 })
        {
            Assert.Equal((64 << 10) / 512, ReadUInt16LittleEndian(ns.AsSpan(field)) + 1);
        }

        Assert.Equal((0, 0, 9), (ns[25], ns[26], ns[130]));
        Assert.Equal((8UL << 20) / 512, ReadUInt64LittleEndian(ns.AsSpan(8)));
        Assert.Equal(0x80, ns[32]);
    }

    [Theory]
    [InlineData(0x10)]
    [InlineData(0x11)]
    [InlineData(0x12)]
    [InlineData(0x14)]
    [InlineData(0x15)]
    [InlineData(0x16)]
    [InlineData(0x1A)]
    [InlineData(0x1B)]
    [InlineData(0x1F)]
    public async Task Structures_of_namespace_management_are_not_offered_without_it(byte cns)
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        Assert.Equal(NvmeStatus.InvalidField, admin.Identify(cns, 1).Status);
        Assert.Equal(NvmeStatus.InvalidOpcode, admin.Send(AdminOpcode.NamespaceManagement, new byte[4096]).Status);
        var (_, controller) = admin.Identify(0x01);
        Assert.Equal(0, ReadUInt16LittleEndian(controller.AsSpan(256)) & 8);
        Assert.Equal(0u, ReadUInt32LittleEndian(admin.Log(0x05, 4096).Data.AsSpan(4 * AdminOpcode.NamespaceManagement)));
    }

    [Fact]
    public async Task Controller_list_of_the_subsystem_begins_at_the_requested_identifier()
    {
        await using var bench = await Bench.StartAsync();
        using var first = Connect(bench);
        using var second = Connect(bench);
        var list = first.Identify(0x13, controller: first.Controller).Data;
        Assert.Equal(2, ReadUInt16LittleEndian(list));
        Assert.Equal(
            (first.Controller, second.Controller), (ReadUInt16LittleEndian(list.AsSpan(2)), ReadUInt16LittleEndian(list.AsSpan(4))));
        Assert.Equal(1, ReadUInt16LittleEndian(first.Identify(0x13, controller: second.Controller).Data));
    }

    [Fact]
    public async Task Supported_log_pages_can_be_read_and_others_cannot()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        var supported = admin.Log(0x00, 1024).Data!;
        for (int id = 0; id < 256; id++)
        {
            uint entry = ReadUInt32LittleEndian(supported.AsSpan(4 * id));
            var status = admin.Log((byte)id, 512, specific: (byte)(id == 0x0D ? 1 : 0), ns: 1).Status;
            Assert.Equal((entry & 1) == 1 ? NvmeStatus.Success : NvmeStatus.InvalidLogPage, status);
        }
    }

    [Fact]
    public async Task Each_feature_of_the_effects_log_can_be_read_with_each_select_value()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        var effects = admin.Log(0x12, 1024).Data!;
        for (int id = 0; id < 256; id++)
        {
            bool known = (ReadUInt32LittleEndian(effects.AsSpan(4 * id)) & 1) == 1;
            for (uint select = 0; select < 5; select++)
            {
                var status = admin.Receive(AdminOpcode.GetFeatures, 512, 0, (uint)id | (select << 8)).Status;
                Assert.Equal(known && select < 4 ? NvmeStatus.Success : NvmeStatus.InvalidField, status);
            }
        }
    }

    [Fact]
    public async Task Feature_has_current_default_and_saved_values_and_its_capabilities()
    {
        const byte temperature = 0x04;
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        Assert.Equal(NvmeStatus.Success, admin.Run(AdminOpcode.SetFeatures, 0, temperature, 350).Status);
        Assert.Equal(new ulong[] { 350, 343, 343, 4 }, Enumerable.Range(0, 4).Select(s => admin.Feature(temperature, (uint)s).Result));
        Assert.Equal(NvmeStatus.FeatureNotSaveable, admin.Run(AdminOpcode.SetFeatures, 0, temperature | (1u << 31), 350).Status);
        Assert.Equal(0ul, admin.Feature(temperature, 0, 1u << 20).Result);
        Assert.Equal(NvmeStatus.InvalidField, admin.Feature(temperature, 0, 2u << 20).Status);
        Assert.Equal(NvmeStatus.InvalidField, admin.Run(AdminOpcode.SetFeatures, 0, 0x05, 1 << 16).Status);
        admin.Reset();
        Assert.Equal(343ul, admin.Feature(temperature).Result);
    }

    [Fact]
    public async Task Timestamp_counts_from_the_reset_until_the_host_sets_it()
    {
        const byte timestamp = 0x0E;
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        ulong Read() => ReadUInt64LittleEndian(admin.Receive(AdminOpcode.GetFeatures, 8, 0, timestamp).Data);
        Assert.InRange(Read(), 0UL, 600_000UL);
        byte[] set = new byte[8];
        WriteUInt64LittleEndian(set, 1_700_000_000_000UL | (0xFFUL << 48));
        Assert.Equal(NvmeStatus.Success, admin.Send(AdminOpcode.SetFeatures, set, 0, timestamp).Status);
        Assert.InRange(Read(), 1_700_000_000_000UL | (1UL << 49), 1_700_000_600_000UL | (1UL << 49));
        admin.Reset();
        Assert.InRange(Read(), 0UL, 600_000UL);
    }

    [Fact]
    public async Task Host_behavior_keeps_valid_fields_and_rejects_others()
    {
        const byte behavior = 0x16;
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        byte[] set = new byte[512];
        (set[0], set[4]) = (1, 0x0C);
        Assert.Equal(NvmeStatus.Success, admin.Send(AdminOpcode.SetFeatures, set, 0, behavior).Status);
        Assert.Equal(set, admin.Receive(AdminOpcode.GetFeatures, 512, 0, behavior).Data);
        var kept = bench.Subsystem.FindController(admin.Controller)!.Features.HostBehavior;
        Assert.True(kept.AllowsCopyFormat(1) && kept.AllowsCopyFormat(3) && !kept.AllowsCopyFormat(4));
        set[0] = 2;
        Assert.Equal(NvmeStatus.InvalidField, admin.Send(AdminOpcode.SetFeatures, set, 0, behavior).Status);
        Assert.Equal(NvmeStatus.SglLengthInvalid, admin.Send(AdminOpcode.SetFeatures, new byte[256], 0, behavior).Status);
    }

    [Fact]
    public async Task Smart_log_counts_data_commands_and_media_errors()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        await bench.Zoned.WriteAsync(0, new byte[600_000 / 512 * 512]);
        await bench.Zoned.ReadAsync(0, new byte[4096]);
        bench.Faults.Add(new DeviceFault { Operations = DeviceOperations.Read });
        await Assert.ThrowsAnyAsync<IOException>(() => bench.Zoned.ReadAsync(0, new byte[4096]).AsTask());
        var log = admin.Log(0x02, 512, ns: uint.MaxValue).Data!;
        UInt128 At(int field) => ReadUInt128LittleEndian(log.AsSpan(field));
        Assert.Equal((0, 300, 100), (log[0], ReadUInt16LittleEndian(log.AsSpan(1)), log[3]));
        Assert.Equal(((UInt128)1, (UInt128)2), (At(32), At(48)));
        Assert.Equal((UInt128)1, At(64));
        Assert.Equal((UInt128)1, At(112));
        Assert.Equal((UInt128)0, At(144));
        Assert.True(At(160) >= 1);
        Assert.True(bench.Subsystem.Health.Totals().Busy > TimeSpan.Zero);
    }

    [Fact]
    public async Task Temperature_threshold_below_the_temperature_is_a_warning_and_an_event()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        admin.Run(AdminOpcode.SetFeatures, 0, 0x0B, 2);
        admin.Post(AdminOpcode.AsyncEventRequest);

        // the event is raised before the command that causes it completes
        Assert.Equal(0x020101ul, admin.Run(AdminOpcode.SetFeatures, 0, 0x04, 300).Result);
        Assert.Equal(NvmeStatus.Success, admin.Next().Status);
        Assert.Equal(2, admin.Log(0x02, 512).Data![0]);
    }

    [Fact]
    public async Task Persistent_events_are_read_in_a_context()
    {
        const byte log = 0x0D;
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        Assert.Equal(NvmeStatus.CommandSequence, admin.Log(log, 512).Status);
        bench.Subsystem.EventLog.AddText("zone 3 became read-only");
        var header = admin.Log(log, 512, specific: 3).Data!;
        Assert.Equal(NvmeStatus.CommandSequence, admin.Log(log, 512, specific: 1).Status);
        int length = (int)ReadUInt64LittleEndian(header.AsSpan(8));

        // later events are not in the context
        bench.Subsystem.EventLog.AddText("later");
        var page = admin.Log(log, length).Data!;
        Assert.Equal((0x0D, 2, 492), (page[0], page[16], ReadUInt16LittleEndian(page.AsSpan(18))));
        Assert.Equal((0xD8, 0x11, 0x40), (page[480], page[481], page[480 + 27]));
        Assert.Equal(1 << 18, ReadInt32LittleEndian(page.AsSpan(374)));
        Assert.Equal(bench.Subsystem.Nqn, Encoding.UTF8.GetString(page.AsSpan(116, bench.Subsystem.Nqn.Length)));
        var types = new List<byte>();
        int at = 512;
        for (uint left = ReadUInt32LittleEndian(page.AsSpan(4)); left > 0; left--)
        {
            types.Add(page[at]);
            Assert.Equal(21, page[at + 2]);
            if (page[at] == 0xDE)
            {
                var text = page.AsSpan(at + 30, ReadUInt16LittleEndian(page.AsSpan(at + 28)));
                Assert.Equal("zone 3 became read-only", Encoding.ASCII.GetString(text));
            }
            else
            {
                Assert.Equal(44, ReadUInt16LittleEndian(page.AsSpan(at + 22)));
            }

            at += 24 + ReadUInt16LittleEndian(page.AsSpan(at + 22));
        }

        Assert.Equal(length, at);

        // the host of the test and this one have enabled a controller each
        Assert.Equal(new byte[] { 4, 4, 0xDE }, types);
        Assert.Equal(page[512..], admin.Log(log, length - 512, offset: 512).Data);
        Assert.Equal(NvmeStatus.Success, admin.Log(log, 4, specific: 2).Status);
        Assert.Equal(NvmeStatus.CommandSequence, admin.Log(log, 512).Status);
        Assert.Equal(NvmeStatus.Success, admin.Log(log, 512, specific: 1).Status);
        admin.Reset();
        Assert.Equal(NvmeStatus.CommandSequence, admin.Log(log, 512).Status);
    }

    [Fact]
    public async Task Host_telemetry_is_a_snapshot_until_the_next_is_created()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        Assert.Equal(0, ReadUInt16LittleEndian(admin.Log(0x07, 512).Data.AsSpan(8)));
        int blocks = ReadUInt16LittleEndian(admin.Log(0x07, 512, specific: 1).Data.AsSpan(8));
        await bench.Zoned.WriteAsync(0, new byte[4096]);
        var log = admin.Log(0x07, (blocks + 1) * 512).Data!;
        Assert.Equal((0x07, 3, 1, 0), (log[0], log[380], log[381], log[382]));
        using var json = JsonDocument.Parse(log.AsMemory(512, log.AsSpan(512).IndexOf((byte)0)));
        Assert.Equal(0, json.RootElement.GetProperty("totals").GetProperty("writes").GetInt64());
        Assert.Equal("disk", json.RootElement.GetProperty("namespaces")[0].GetProperty("name").GetString());
        Assert.Equal(2, admin.Log(0x07, 512, specific: 1).Data![381]);
    }

    [Fact]
    public async Task Controller_telemetry_is_announced_once_until_it_is_read()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        admin.Run(AdminOpcode.SetFeatures, 0, 0x0B, 1 << 10);
        admin.Post(AdminOpcode.AsyncEventRequest);
        bench.Subsystem.Telemetry.Record("power cut");
        Assert.Equal(0x080202ul, admin.Next().Result);
        bench.Subsystem.Telemetry.Record("power cut");
        var log = admin.Log(0x08, 512).Data!;
        Assert.Equal((0x08, 1, 2), (log[0], log[382], log[383]));
        Assert.StartsWith("power cut ", Encoding.ASCII.GetString(log.AsSpan(384, 128)), StringComparison.Ordinal);
        Assert.Equal(0, admin.Log(0x08, 512, keepEvent: true).Data![382]);
    }

    private static RawAdmin Connect(Bench bench) => new(bench.Server.Address.Port, bench.Subsystem.Nqn);
}
