using Paddock.Faults;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Nvme.Tests;

/// <summary>Asymmetric namespace access, byte for byte: Identify, the log, events, and the status of commands in each state.</summary>
public class AnaTests
{
    private const byte AnaEvent = 3, AnaLogId = 0x0C, EventConfiguration = 0x0B;

    [Fact]
    public async Task Controller_without_groups_reports_a_single_path()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = Connect(bench);
        var controller = admin.Identify(0x01).Data!;
        Assert.Equal((0, 0, 0), (controller[76], controller[342], controller[343]));
        Assert.Equal(0u, ReadUInt32LittleEndian(controller.AsSpan(92)) & (1 << 11));
        Assert.Equal((0, 0u), (admin.Identify(0x00, 1).Data![30], ReadUInt32LittleEndian(admin.Identify(0x00, 1).Data.AsSpan(92))));
        Assert.Equal(0, admin.Identify(0x08, 1).Data![1]);
        Assert.Equal(NvmeStatus.InvalidLogPage, admin.Log(AnaLogId, 16).Status);
        Assert.Equal(0, admin.Log(0x00, 1024).Data![4 * AnaLogId]);
    }

    [Fact]
    public async Task Controller_with_a_group_reports_it()
    {
        await using var bench = await Bench.StartAsync(group: new AnaGroup(3, AnaState.Optimized));
        using var admin = Connect(bench);
        var controller = admin.Identify(0x01).Data!;
        Assert.Equal((0x0A, 30, 0x5F), (controller[76], controller[342], controller[343]));
        Assert.Equal((3u, 3u), (ReadUInt32LittleEndian(controller.AsSpan(344)), ReadUInt32LittleEndian(controller.AsSpan(348))));
        Assert.NotEqual(0u, ReadUInt32LittleEndian(controller.AsSpan(92)) & (1 << 11));
        var ns = admin.Identify(0x00, 1).Data!;
        Assert.Equal((1, 3u), (ns[30], ReadUInt32LittleEndian(ns.AsSpan(92))));
        ns = admin.Identify(0x08, 1).Data!;
        Assert.Equal((1, 3u), (ns[1], ReadUInt32LittleEndian(ns.AsSpan(4))));
        Assert.Equal(1, admin.Log(0x00, 1024).Data![4 * AnaLogId]);
    }

    [Fact]
    public async Task Log_has_its_header_and_descriptors()
    {
        var group = new AnaGroup(2, AnaState.NonOptimized);
        await using var bench = await Bench.StartAsync(group: group);
        group.SetState(AnaState.Inaccessible);
        using var admin = Connect(bench);
        byte[] header = [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        byte[] descriptor = [2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        byte[] all = [.. header, .. descriptor, 1, 0, 0, 0];
        Assert.Equal([.. all, 0, 0, 0, 0], admin.Log(AnaLogId, all.Length + 4).Data);
        Assert.Equal(all[16..52], admin.Log(AnaLogId, 36, offset: 16).Data);
        Assert.Equal(NvmeStatus.InvalidField, admin.Log(AnaLogId, 4, offset: 56).Status);

        descriptor[4] = 0;
        Assert.Equal([.. header, .. descriptor, 0, 0, 0, 0], admin.Log(AnaLogId, 52, specific: 1).Data);
    }

    [Fact]
    public async Task Groups_are_in_order_and_a_group_holds_all_of_its_namespaces()
    {
        var (first, second) = (new AnaGroup(7, AnaState.Optimized), new AnaGroup(4, AnaState.Change));
        await using var bench = await Bench.StartAsync(group: first);
        bench.Subsystem.Add(Copy(bench, 2, second));
        bench.Subsystem.Add(Copy(bench, 3, first));
        Assert.Throws<ArgumentException>(() => bench.Subsystem.Add(Copy(bench, 4, new AnaGroup(7, AnaState.Optimized))));
        using var admin = Connect(bench);
        var groups = AnaLog.Read(admin.Log(AnaLogId, 4096).Data)!;
        Assert.Equal([(4u, AnaState.Change), (7u, AnaState.Optimized)], groups.Select(g => (g.GroupId, g.State)));
        Assert.Equal([2u], groups[0].Namespaces);
        Assert.Equal([1u, 3u], groups[1].Namespaces);
        Assert.Equal(7u, ReadUInt32LittleEndian(admin.Identify(0x01).Data.AsSpan(344)));
    }

    [Fact]
    public async Task Change_is_reported_once_until_the_log_is_read()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench, events: 1 << 11);
        admin.Post(AdminOpcode.AsyncEventRequest);
        group.SetState(AnaState.Change);
        group.SetState(AnaState.Inaccessible);
        Assert.Equal(2u | (AnaEvent << 8) | ((uint)AnaLogId << 16), (uint)admin.Next().Result);

        // neither a further change nor a read that keeps the event reports another
        group.SetState(AnaState.Optimized);
        admin.Log(AnaLogId, 16, keepEvent: true);
        group.SetState(AnaState.NonOptimized);
        admin.Post(AdminOpcode.AsyncEventRequest);
        admin.Log(AnaLogId, 16);
        group.SetState(AnaState.Optimized);
        Assert.Equal(2u | (AnaEvent << 8) | ((uint)AnaLogId << 16), (uint)admin.Next().Result);
    }

    [Fact]
    public async Task Events_that_no_request_waits_for_do_not_collect()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench, events: 1 << 11);
        for (int i = 0; i < 10; i++)
        {
            group.SetState(i % 2 == 0 ? AnaState.NonOptimized : AnaState.Optimized);
            admin.Log(AnaLogId, 16);
        }

        admin.Post(AdminOpcode.AsyncEventRequest);
        Assert.Equal(2u | (AnaEvent << 8) | ((uint)AnaLogId << 16), (uint)admin.Next().Result);
        admin.Post(AdminOpcode.AsyncEventRequest);
        Assert.Equal(0u, (uint)admin.Run(AdminOpcode.KeepAlive).Result);
    }

    [Fact]
    public async Task Masked_change_is_not_reported()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench, events: 1 << 8);
        group.SetState(AnaState.Inaccessible);
        bench.Subsystem.Add(Copy(bench, 2, group));
        admin.Post(AdminOpcode.AsyncEventRequest);
        Assert.Equal(2u | (0x04u << 16), (uint)admin.Next().Result);
    }

    [Theory]
    [InlineData(AnaState.Inaccessible, (int)NvmeStatus.AccessInaccessible)]
    [InlineData(AnaState.PersistentLoss, (int)NvmeStatus.AccessPersistentLoss)]
    [InlineData(AnaState.Change, (int)NvmeStatus.AccessTransition)]
    public async Task Commands_are_rejected_with_the_status_of_the_state_and_may_be_retried(object state, int expected)
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench);
        using var io = OpenQueue(bench, admin);
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
        group.SetState((AnaState)state);
        long before = bench.Namespace.Statistics.BytesRead;
        foreach (var entry in new[]
        {
            Entry(Opcode.Flush, 1), Entry(Opcode.Flush, uint.MaxValue), Entry(Opcode.WriteZeroes, 1), Entry(Opcode.Verify, 1),
            Entry(Opcode.ZoneManagementSend, 1) with { Dword13 = 1 },
            Entry(Opcode.Read, 1) with { DataLength = 512, DataKind = SubmissionEntry.InTransport },
        })
        {
            var completion = io.Run(entry);
            Assert.Equal(((NvmeStatus)expected, true), (completion.Status, completion.Retry));
        }

        Assert.Equal(before, bench.Namespace.Statistics.BytesRead);
        Assert.Equal((NvmeStatus)expected, admin.Receive(AdminOpcode.GetLbaStatus, 64, 1, dword14: 0).Status);
        Assert.Equal((NvmeStatus)expected, admin.Run(AdminOpcode.FormatNvm, 1).Status);
        Assert.Equal((NvmeStatus)expected, admin.Run(AdminOpcode.SetFeatures, uint.MaxValue, 0x05).Status);
        Assert.Equal((NvmeStatus)expected, admin.Run(AdminOpcode.SetFeatures, 1, 0x05).Status);
        Assert.Equal((NvmeStatus)expected, admin.Run(AdminOpcode.GetFeatures, 1, 0x05).Status);
        Assert.Equal(NvmeStatus.Success, admin.Run(AdminOpcode.SetFeatures, 0, 0x06, 1).Status);
        Assert.Equal(NvmeStatus.Success, admin.Log(0x02, 512, ns: uint.MaxValue).Status);

        var ns = admin.Identify(0x00, 1).Data!;
        bool isKnown = (AnaState)state == AnaState.Change;
        Assert.Equal((16384UL, 16384UL), (ReadUInt64LittleEndian(ns), ReadUInt64LittleEndian(ns.AsSpan(8))));
        Assert.Equal(isKnown ? 16384UL : 0, ReadUInt64LittleEndian(ns.AsSpan(16)));
        Assert.Equal(isKnown ? 8UL << 20 : 0, ReadUInt64LittleEndian(ns.AsSpan(48)));
    }

    [Fact]
    public async Task Accessible_states_run_commands()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench);
        using var io = OpenQueue(bench, admin);
        group.SetState(AnaState.Inaccessible);
        Assert.Equal(NvmeStatus.AccessInaccessible, io.Run(Entry(Opcode.Flush, 1)).Status);
        group.SetState(AnaState.NonOptimized);
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
        group.SetState(AnaState.Optimized);
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
    }

    [Fact]
    public async Task Announced_state_is_reported_while_commands_run_until_hosts_have_read_it()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        using var admin = Connect(bench, events: 1 << 11);
        using var io = OpenQueue(bench, admin);
        admin.Post(AdminOpcode.AsyncEventRequest);
        var announced = group.AnnounceAsync(AnaState.Inaccessible, TimeSpan.FromMinutes(1));
        Assert.Equal(2u | (AnaEvent << 8) | ((uint)AnaLogId << 16), (uint)admin.Next().Result);
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
        Assert.False(announced.IsCompleted);

        Assert.Equal(AnaState.Inaccessible, AnaLog.Read(admin.Log(AnaLogId, 64).Data)![0].State);
        await announced;
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
        group.SetState(AnaState.Inaccessible);
        Assert.Equal(NvmeStatus.AccessInaccessible, io.Run(Entry(Opcode.Flush, 1)).Status);
        Assert.Equal(2UL, group.Changes);
    }

    [Fact]
    public async Task Prepared_state_lets_hosts_look_at_the_zones_before_it_is_reported()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        group.SetState(AnaState.Inaccessible);
        using var admin = Connect(bench, events: (1 << 8) | (1 << 11));
        using var io = OpenQueue(bench, admin);
        admin.Post(AdminOpcode.AsyncEventRequest);
        var prepared = group.PrepareAsync(AnaState.Optimized, TimeSpan.FromMinutes(1));
        Assert.Equal(2u | (0x04u << 16), (uint)admin.Next().Result);
        Assert.Equal(NvmeStatus.Success, io.Run(Entry(Opcode.Flush, 1)).Status);
        Assert.Equal(AnaState.Inaccessible, AnaLog.Read(admin.Log(AnaLogId, 64).Data)![0].State);
        Assert.False(prepared.IsCompleted);

        Assert.Equal(1u, ReadUInt32LittleEndian(admin.Log(0x04, 4096).Data));
        await prepared;
        group.SetState(AnaState.Optimized);
        Assert.Equal(AnaState.Optimized, AnaLog.Read(admin.Log(AnaLogId, 64).Data)![0].State);
    }

    [Fact]
    public async Task Announcement_does_not_wait_for_hosts_that_do_not_follow_states()
    {
        var group = new AnaGroup(1, AnaState.Optimized);
        await using var bench = await Bench.StartAsync(group: group);
        await bench.Host.DisposeAsync();
        using var admin = Connect(bench);
        await group.AnnounceAsync(AnaState.Inaccessible, TimeSpan.FromDays(1));
        group.SetState(AnaState.Optimized);
        Assert.Equal(AnaState.Optimized, group.State);
    }

    [Fact]
    public void Lost_group_stays_lost()
    {
        var group = new AnaGroup(1, AnaState.PersistentLoss);
        Assert.Throws<InvalidOperationException>(() => group.SetState(AnaState.Optimized));
        Assert.Throws<ArgumentOutOfRangeException>(() => new AnaGroup(0, AnaState.Optimized));
        Assert.Throws<ArgumentOutOfRangeException>(() => new AnaGroup(AnaGroup.MaxId + 1, AnaState.Optimized));
    }

    [Fact]
    public async Task Controller_identifiers_come_from_the_range_of_the_server()
    {
        await using var bench = await Bench.StartAsync(controllers: ControllerRange.OfNode(15));
        for (int i = 0; i < 3; i++)
        {
            using var admin = Connect(bench);
            Assert.InRange(admin.Controller, 0xF000, 0xFFEF);
        }

        Assert.Equal((0x1000, 0x1FFF), (ControllerRange.OfNode(1).First, ControllerRange.OfNode(1).Last));
        Assert.Equal(0xF000, ControllerRange.OfNode(15).After(0xFFEF));
        Assert.Equal(1, ControllerRange.All.After(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ControllerRange.OfNode(16));
    }

    [Fact]
    public async Task Two_servers_of_a_subsystem_show_the_same_namespace()
    {
        await using var one = await Bench.StartAsync(
            group: new AnaGroup(1, AnaState.Optimized), controllers: ControllerRange.OfNode(1));
        await using var two = await Bench.StartAsync(
            group: new AnaGroup(1, AnaState.NonOptimized), controllers: ControllerRange.OfNode(2));
        using var first = Connect(one);
        using var second = Connect(two);
        Assert.Equal(first.Identify(0x03, 1).Data, second.Identify(0x03, 1).Data);
        Assert.Equal(first.Identify(0x01).Data![4..72], second.Identify(0x01).Data![4..72]);
        Assert.Equal(first.Identify(0x05, 1, 2).Data, second.Identify(0x05, 1, 2).Data);
        Assert.NotEqual(first.Controller, second.Controller);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(47)]
    [InlineData(51)]
    public void Log_that_is_cut_is_not_read(int length)
    {
        byte[] page = AnaLog.Build([new AnaGroupDescriptor(1, AnaState.Optimized, 1, [1])]);
        Assert.NotNull(AnaLog.Read(page));
        Assert.Null(AnaLog.Read(page.AsSpan(0, length)));
        page[32] = 9;
        Assert.Null(AnaLog.Read(page));
    }

    [Fact]
    public void Random_log_is_read_or_rejected()
    {
        var random = new Random(TestSeed.Next());
        for (int i = 0; i < 20_000; i++)
        {
            byte[] page = AnaLog.Build(
                [new AnaGroupDescriptor(1, AnaState.Optimized, 1, [1, 2]), new AnaGroupDescriptor(2, AnaState.Change, 3, [])]);
            for (int changes = random.Next(1, 8); changes > 0; changes--)
            {
                page[random.Next(page.Length)] = (byte)random.Next(256);
            }

            if (AnaLog.Read(page.AsSpan(0, random.Next(page.Length + 1))) is { } groups)
            {
                Assert.All(groups, g => Assert.True(Enum.IsDefined(g.State)));
                Assert.InRange(groups.Sum(g => g.Size), 0, page.Length - AnaLog.HeaderSize);
            }
        }
    }

    private static NvmeNamespace Copy(Bench bench, uint id, AnaGroup group)
        => new(id, bench.Namespace.Device, 512, $"disk{id}") { HeldRequests = new DeviceFaults(), AnaGroup = group };

    private static SubmissionEntry Entry(byte opcode, uint ns)
        => new() { Opcode = opcode, NamespaceId = ns, DataKind = SubmissionEntry.InTransport };

    private static RawAdmin Connect(Bench bench, uint events = 0)
    {
        var admin = new RawAdmin(bench.Server.Address.Port, bench.Subsystem.Nqn);
        admin.Run(AdminOpcode.SetFeatures, dword10: EventConfiguration, dword11: events);
        return admin;
    }

    private static RawHost OpenQueue(Bench bench, RawAdmin admin)
    {
        var io = new RawHost(bench.Server.Address.Port);
        io.Initialize();
        io.Connect(bench.Subsystem.Nqn, 1, admin.Controller);
        return io;
    }
}
