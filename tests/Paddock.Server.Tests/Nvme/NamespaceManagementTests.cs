using Paddock.Block;
using Paddock.Images;
using Paddock.Nvme;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Server.Tests.Nvme;

/// <summary>Namespaces that hosts create, attach, format and delete.</summary>
public sealed class NamespaceManagementTests : IDisposable
{
    private const string Nqn = "nqn.2026-01.io.paddock:drive";
    private const uint All = uint.MaxValue;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-namespaces-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Created_namespace_is_attached_used_detached_and_deleted()
    {
        await using var server = await StartAsync();
        Assert.Equal($"nvme connect -t tcp -a 127.0.0.1 -s {server.NvmeAddress.Port} -n {Nqn}", server.Server.Endpoints[0].ConnectCommand);
        using var admin = Connect(server);
        var (status, id) = Create(admin, blocks: 2048, format: 1);
        Assert.Equal((NvmeStatus.Success, 1u), (status, id));
        Assert.Equal(new uint[] { 1 }, List(admin, 0x10));
        Assert.Empty(List(admin, 0x02));
        Assert.Equal(2048ul, ReadUInt64LittleEndian(admin.Identify(0x11, 1).Data));
        Assert.Equal(0ul, ReadUInt64LittleEndian(admin.Identify(0x00, 1).Data));

        Assert.Equal(NvmeStatus.Success, Attach(admin, 1, admin.Controller));
        Assert.Equal(NvmeStatus.NamespaceAlreadyAttached, Attach(admin, 1, admin.Controller));
        Assert.Equal(new uint[] { 1 }, List(admin, 0x02));
        Assert.Equal(admin.Controller, ReadUInt16LittleEndian(admin.Identify(0x12, 1).Data.AsSpan(2)));
        var ns = admin.Identify(0x00, 1).Data!;
        Assert.Equal((1, 1, 9, 12), (ns[25], ns[26], ns[130], ns[134]));

        await using (var disk = await OpenAsync(server))
        {
            await disk.WriteAsync(4096, new byte[] { 1, 2, 3, 4 }.Concat(new byte[4092]).ToArray());
            await disk.FlushAsync();
        }

        Assert.Equal(4096, await server.MetricAsync("paddock_image_client_written_bytes_total{image=\"namespace-1\"}"));
        Assert.Equal(NvmeStatus.Success, Detach(admin, 1, admin.Controller));
        Assert.Equal(NvmeStatus.NamespaceNotAttached, Detach(admin, 1, admin.Controller));
        Assert.Empty(List(admin, 0x02));
        string image = Path.Combine(_folder, "namespace-1.qcow2");
        Assert.True(File.Exists(image));
        Assert.Equal(NvmeStatus.Success, Delete(admin, 1));
        Assert.False(File.Exists(image));
        Assert.Empty(List(admin, 0x10));
        Assert.Equal(NvmeStatus.InvalidField, Delete(admin, 1));
        Assert.DoesNotContain("image=\"namespace-1\"", await server.Server.RenderMetricsAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Restarted_server_has_the_same_namespaces_attached_to_the_same_host()
    {
        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            Create(admin, 2048);
            Create(admin, 4096, format: 1);
            Create(admin, 2048);
            Attach(admin, 1, admin.Controller);
            await Assert.ThrowsAsync<BlockException>(() => OpenAsync(server, "nqn.other"));
            Delete(admin, 1);
            Assert.Equal(NvmeStatus.Success, Attach(admin, 2, admin.Controller));
        }

        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            Assert.Equal(new uint[] { 2, 3 }, List(admin, 0x10));
            Assert.Equal(new uint[] { 2 }, List(admin, 0x02));
            var ns = admin.Identify(0x00, 2).Data!;
            Assert.Equal((4096ul, 1), (ReadUInt64LittleEndian(ns), ns[26]));

            // the lowest identifier that is free
            Assert.Equal(1u, Create(admin, 2048).Id);
        }
    }

    [Fact]
    public async Task Zoned_namespace_has_the_zones_of_the_server_and_the_limits_of_the_host()
    {
        await using var server = await StartAsync();
        using var admin = Connect(server);
        byte[] template = Template(8192, 8192 / 4 * 3, 0);
        WriteUInt32LittleEndian(template.AsSpan(500), 3);
        WriteUInt32LittleEndian(template.AsSpan(504), 2);
        Assert.Equal(NvmeStatus.Success, admin.Send(AdminOpcode.NamespaceManagement, template, 0, 0, 2u << 24).Status);
        Attach(admin, 1, admin.Controller);
        Assert.Equal(new uint[] { 1 }, List(admin, 0x07, commandSet: 2));
        var ns = admin.Identify(0x05, 1, commandSet: 2).Data!;
        Assert.Equal((2u, 1u), (ReadUInt32LittleEndian(ns.AsSpan(4)), ReadUInt32LittleEndian(ns.AsSpan(8))));
        Assert.Equal((2048ul, 256ul), (ReadUInt64LittleEndian(ns.AsSpan(2816)), ReadUInt64LittleEndian(ns.AsSpan(2832))));
        Assert.Equal(6144ul, ReadUInt64LittleEndian(admin.Identify(0x00, 1).Data.AsSpan(8)));
        await using var disk = await OpenAsync(server);
        Assert.Equal((4, 768 << 10), (disk.Zones!.Limits.ZoneCount, (int)disk.Zones.Limits.ZoneCapacity));
        Assert.Equal(NvmeStatus.InvalidField, admin.Send(AdminOpcode.NamespaceManagement, Template(8193, 8193, 0), 0, 0, 2u << 24).Status);
    }

    [Fact]
    public async Task Zones_have_random_write_areas_if_the_host_asks_for_them()
    {
        await using var server = await StartAsync(s => s with { NamespaceZrwaSize = "64K" });
        using var admin = Connect(server);
        byte[] template = Template(8192, 8192, 1);
        template[499] = 1;
        WriteUInt32LittleEndian(template.AsSpan(508), 2);
        Assert.Equal(NvmeStatus.InvalidField, admin.Send(AdminOpcode.NamespaceManagement, Template(8192, 8100, 1), 0, 0, 2u << 24).Status);
        Assert.Equal(NvmeStatus.Success, admin.Send(AdminOpcode.NamespaceManagement, template, 0, 0, 2u << 24).Status);
        var ns = admin.Identify(0x1B, 1, commandSet: 2).Data!;
        Assert.Equal((3, 1u), (ns[2], ReadUInt32LittleEndian(ns.AsSpan(44))));
        Assert.Equal((4, 16), (ReadUInt16LittleEndian(ns.AsSpan(48)), ReadUInt16LittleEndian(ns.AsSpan(50))));

        // without the option, the request is rejected
        template[499] = 2;
        Assert.Equal(NvmeStatus.InvalidField, admin.Send(AdminOpcode.NamespaceManagement, template, 0, 0, 2u << 24).Status);
    }

    [Fact]
    public async Task Quota_is_reported_and_enforced_with_the_capacity_that_lacks()
    {
        await using var server = await StartAsync(s => s with { NamespaceQuota = "2M" });
        using var admin = Connect(server);
        Create(admin, 1024);
        var controller = admin.Identify(0x01).Data!;
        Assert.Equal(8, ReadUInt16LittleEndian(controller.AsSpan(256)) & 8);
        Assert.Equal(
            ((UInt128)(2 << 20), (UInt128)((2 << 20) - (512 << 10))),
            (ReadUInt128LittleEndian(controller.AsSpan(280)), ReadUInt128LittleEndian(controller.AsSpan(296))));
        Assert.Equal(NvmeStatus.NamespaceInsufficientCapacity, Create(admin, 3073).Status);
        var errors = admin.Log(0x01, 64).Data!;
        Assert.Equal(3073ul * 512, ReadUInt64LittleEndian(errors.AsSpan(32)));
        Assert.Equal(NvmeStatus.Success, Create(admin, 3072).Status);
        Assert.Equal(NvmeStatus.NamespaceInsufficientCapacity, Create(admin, 1).Status);
    }

    [Fact]
    public async Task Invalid_templates_are_rejected()
    {
        await using var server = await StartAsync();
        using var admin = Connect(server);
        NvmeStatus With(int at, byte value, byte commandSet = 0, ulong capacity = 64)
        {
            byte[] template = Template(64, capacity, 0);
            template[at] = value;
            return admin.Send(AdminOpcode.NamespaceManagement, template, 0, 0, (uint)commandSet << 24).Status;
        }

        Assert.Equal(NvmeStatus.InvalidFormat, With(26, 2));
        Assert.Equal(NvmeStatus.InvalidFormat, With(29, 1));
        Assert.Equal(NvmeStatus.InvalidField, With(30, 2));
        Assert.Equal(NvmeStatus.InvalidField, With(0, 0));
        Assert.Equal(NvmeStatus.InvalidField, With(7, 0xFF));
        Assert.Equal(NvmeStatus.InvalidField, With(392, 1));
        Assert.Equal(NvmeStatus.CommandSetNotSupported, With(0, 64, commandSet: 1));
        Assert.Equal(NvmeStatus.ThinProvisioningNotSupported, With(0, 64, capacity: 32));
        Assert.Equal(NvmeStatus.InvalidField, admin.Run(AdminOpcode.NamespaceManagement, 0, 2).Status);
        Assert.Equal(NvmeStatus.SglLengthInvalid, admin.Send(AdminOpcode.NamespaceManagement, new byte[2048]).Status);
        byte[] zones = Template(2048 * 65537, 2048 * 65537, 0);
        Assert.Equal(NvmeStatus.InvalidField, admin.Send(AdminOpcode.NamespaceManagement, zones, 0, 0, 2u << 24).Status);
        Assert.Empty(Directory.GetFiles(_folder, "*.qcow2"));
    }

    [Fact]
    public async Task Identifiers_are_limited()
    {
        await using var server = await StartAsync();
        using var admin = Connect(server);
        uint limit = ReadUInt32LittleEndian(admin.Identify(0x01).Data.AsSpan(516));
        for (uint id = 1; id <= limit; id++)
        {
            Assert.Equal((NvmeStatus.Success, id), Create(admin, 8));
        }

        Assert.Equal(NvmeStatus.NamespaceIdentifierUnavailable, Create(admin, 8).Status);
        Assert.Equal(NvmeStatus.Success, Delete(admin, All));
        Assert.Empty(List(admin, 0x10));
        Assert.Empty(Directory.GetFiles(_folder, "*.qcow2"));
    }

    [Fact]
    public async Task Image_of_the_command_line_cannot_be_deleted_and_keeps_its_block_size()
    {
        await using var server = await TestServer.StartAsync(zoned: false, with: s => s with
        {
            NamespaceDir = _folder, NamespaceQuota = "1G", Nbd = null,
        });
        using var admin = new RawAdmin(server.NvmeAddress.Port, "nqn.2026-01.io.paddock:disk");
        Assert.Equal((NvmeStatus.Success, 2u), Create(admin, 2048));
        Assert.Equal(NvmeStatus.OperationDenied, Delete(admin, 1));
        Assert.Equal(NvmeStatus.OperationDenied, Delete(admin, All));
        Assert.Equal(NvmeStatus.InvalidFormat, admin.Run(AdminOpcode.FormatNvm, 1, 1).Status);
        Assert.Equal(NvmeStatus.Success, admin.Run(AdminOpcode.FormatNvm, 1, 0).Status);
        Assert.Equal(NvmeStatus.Success, Detach(admin, 1, admin.Controller));
        Assert.Equal(NvmeStatus.InvalidField, admin.Run(AdminOpcode.FormatNvm, 1, 0).Status);
        string why = await server.RefusalAsync("resize image=namespace-2 size=2G");
        Assert.Contains("its size does not change", why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Copy_and_write_uncorrectable_that_are_off_are_not_advertised()
    {
        await using var server = await StartAsync(s => s with { NvmeCopy = false, NvmeUncorrectable = false });
        using var admin = Connect(server);
        Assert.Equal(1u, Create(admin, 2048).Id);
        Assert.Equal(NvmeStatus.Success, Attach(admin, 1, admin.Controller));
        var controller = admin.Identify(0x01).Data!;
        Assert.Equal(0, ReadUInt16LittleEndian(controller.AsSpan(520)) & 0x702);
        Assert.Equal(0, ReadUInt16LittleEndian(controller.AsSpan(534)));
        Assert.Equal(new byte[7], admin.Identify(0x00, 1).Data![74..81]);
        var effects = admin.Log(0x05, 4096).Data!;
        Assert.Equal((0u, 0u), (ReadUInt32LittleEndian(effects.AsSpan(1024 + (4 * Opcode.Copy))),
            ReadUInt32LittleEndian(effects.AsSpan(1024 + (4 * Opcode.WriteUncorrectable)))));
        await using var host = await NvmeTcpHost.ConnectAsync(new NvmeTcpHostOptions
        {
            Host = "127.0.0.1", Port = server.NvmeAddress.Port, SubsystemNqn = Nqn, HostNqn = Secrets.RawHostNqn,
        });
        foreach (byte opcode in new[] { Opcode.Copy, Opcode.WriteUncorrectable })
        {
            var data = opcode == Opcode.Copy ? new byte[32] : Memory<byte>.Empty;
            var entry = new SubmissionEntry { Opcode = opcode, NamespaceId = 1 };
            Assert.Equal(NvmeStatus.InvalidOpcode, (await host.RunAsync(entry, data, default, default)).Status);
        }
    }

    [Fact]
    public async Task Other_controllers_are_notified_and_private_namespaces_have_one_controller()
    {
        await using var server = await StartAsync();
        using var first = Connect(server);
        using var second = Connect(server);
        second.Run(AdminOpcode.SetFeatures, 0, 0x0B, 1 << 8);
        second.Post(AdminOpcode.AsyncEventRequest);
        Create(first, 2048, isPrivate: true);
        Assert.Equal(2u, Create(first, 2048).Id);
        Assert.Equal(NvmeStatus.Success, Attach(first, 1, first.Controller));
        Assert.Equal(NvmeStatus.NamespaceIsPrivate, Attach(first, 1, second.Controller));
        using var third = Connect(server);
        Assert.Empty(List(third, 0x02));
        Assert.Equal(NvmeStatus.ControllerListInvalid, Attach(first, 2));
        Assert.Equal(NvmeStatus.ControllerListInvalid, Attach(first, 2, 0xFFF0));
        Assert.Equal(NvmeStatus.Success, Attach(first, 2, first.Controller, second.Controller));
        Assert.Equal(0x040002ul, second.Next().Result);
        Assert.Equal(2u, ReadUInt32LittleEndian(second.Log(0x04, 4096).Data));
        Assert.Equal(new uint[] { 2 }, List(second, 0x02));
        second.Post(AdminOpcode.AsyncEventRequest);
        Assert.Equal(NvmeStatus.Success, Delete(first, 2));
        Assert.Equal(0x040002ul, second.Next().Result);
        Assert.Empty(List(second, 0x02));
    }

    [Fact]
    public async Task Format_changes_the_block_size_and_erases_the_data()
    {
        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            Create(admin, 65536);
            Attach(admin, 1, admin.Controller);
            await using (var disk = await OpenAsync(server))
            {
                await disk.WriteAsync(0, Enumerable.Repeat((byte)7, 1 << 20).ToArray());
                await disk.FlushAsync();
            }

            Assert.Equal(NvmeStatus.InvalidField, admin.Run(AdminOpcode.FormatNvm, 1, 2 << 9).Status);
            Assert.Equal(NvmeStatus.InvalidFormat, admin.Run(AdminOpcode.FormatNvm, 1, 1 << 5).Status);
            Assert.Equal(NvmeStatus.InvalidFormat, admin.Run(AdminOpcode.FormatNvm, 1, 2).Status);
            Assert.Equal(NvmeStatus.Success, admin.Run(AdminOpcode.FormatNvm, 1, 1 | (1 << 9)).Status);
            Assert.Equal((8192ul, 1), (ReadUInt64LittleEndian(admin.Identify(0x00, 1).Data), admin.Identify(0x00, 1).Data![26]));
            await using var again = await OpenAsync(server);
            byte[] data = new byte[1 << 20];
            await again.ReadAsync(0, data);
            Assert.True(data.AsSpan().IndexOfAnyExcept((byte)0) < 0);

            // the events are in the persistent log: create, format start and completion
            var log = admin.Log(0x0D, 2048, specific: 1).Data!;
            Assert.Contains((byte)6, Types(log));
            Assert.Contains((byte)7, Types(log));
            Assert.Contains((byte)8, Types(log));
        }

        await using (var server = await StartAsync())
        {
            using var admin = Connect(server);
            Assert.Equal(8192ul, ReadUInt64LittleEndian(admin.Identify(0x11, 1).Data));
        }
    }

    [Fact]
    public async Task Format_empties_every_zone()
    {
        await using var server = await TestServer.StartAsync();
        using var admin = new RawAdmin(server.NvmeAddress.Port, "nqn.2026-01.io.paddock:disk");
        await using var disk = await server.NvmeAsync();
        await disk.WriteAsync(0, new byte[TestServer.Zone]);
        await disk.WriteAsync(3 * TestServer.Zone, new byte[4096]);
        Assert.Equal(NvmeStatus.Success, admin.Run(AdminOpcode.FormatNvm, All, 0).Status);
        var zones = new ZoneDescriptor[TestServer.Zones];
        Assert.Equal(TestServer.Zones, await disk.Zones!.ReportAsync(0, zones));
        Assert.All(zones, z => Assert.Equal(ZoneCondition.Empty, z.Condition));
        await server.CheckAsync();
    }

    [Fact]
    public async Task Format_that_is_switched_off_is_not_offered()
    {
        await using var server = await StartAsync(s => s with { NvmeFormat = false });
        using var admin = Connect(server);
        Create(admin, 2048);
        Attach(admin, 1, admin.Controller);
        Assert.Equal(0, ReadUInt16LittleEndian(admin.Identify(0x01).Data.AsSpan(256)) & 2);
        Assert.Equal(0u, ReadUInt32LittleEndian(admin.Log(0x05, 4096).Data.AsSpan(4 * AdminOpcode.FormatNvm)));
        Assert.Equal(NvmeStatus.InvalidOpcode, admin.Run(AdminOpcode.FormatNvm, 1).Status);
    }

    [Fact]
    public async Task Commands_fail_while_a_namespace_is_formatted_and_it_waits_for_those_in_flight()
    {
        await using var server = await TestServer.StartAsync(zoned: false);
        using var admin = new RawAdmin(server.NvmeAddress.Port, "nqn.2026-01.io.paddock:disk");
        await using var disk = await server.NvmeAsync();
        await server.AskAsync("hang command=write");
        var held = disk.WriteAsync(0, new byte[4096]).AsTask();
        await Eventually.IsAsync(() => server.AskAsync("status"), s => s.Contains("\"waiting\": 1", StringComparison.Ordinal));
        admin.Post(AdminOpcode.FormatNvm, 1);
        await Eventually.IsAsync(() => Task.FromResult(admin.Identify(0x00, 1).Data![32]), left => left == (0x80 | 100));
        var refused = await Assert.ThrowsAsync<BlockException>(() => disk.ReadAsync(0, new byte[512]).AsTask());
        Assert.NotEqual(BlockError.OutOfRange, refused.Error);
        await server.AskAsync("release");
        await held;
        Assert.Equal(NvmeStatus.Success, admin.Next().Status);
        Assert.Equal(0x80, admin.Identify(0x00, 1).Data![32]);
    }

    [Theory]
    [InlineData("namespace-dir requires namespace-quota", "D", null, null)]
    [InlineData("require namespace-dir", null, "1G", null)]
    [InlineData("expected a power of two", "D", "1G", "3M")]
    public async Task Incomplete_settings_are_rejected(string message, string? folder, string? quota, string? zone)
    {
        var settings = TestServer.SettingsIn(_folder) with
        {
            Nbd = null, NamespaceDir = folder is null ? null : _folder, NamespaceQuota = quota, NamespaceZoneSize = zone,
        };
        var e = await Assert.ThrowsAsync<ToolException>(() => TestServer.StartInAsync(_folder, settings));
        Assert.Contains(message, folder is null ? e.Message.Replace("no image configured", "require namespace-dir") : e.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Directory_is_used_by_one_server_only()
    {
        await using var server = await StartAsync();
        await Assert.ThrowsAsync<ToolException>(() => StartAsync());
    }

    [Theory]
    [InlineData("{")]
    [InlineData("{\"version\":2,\"namespaces\":[]}")]
    [InlineData("{\"version\":1,\"namespaces\":[{\"id\":1,\"file\":\"../x\",\"size\":512,\"block-size\":512}]}")]
    [InlineData("{\"version\":1,\"namespaces\":[{\"id\":0,\"file\":\"x\",\"size\":512,\"block-size\":512}]}")]
    [InlineData("{\"version\":1,\"namespaces\":null}")]
    [InlineData("{\"version\":1,\"namespaces\":[null]}")]
    [InlineData("{\"version\":1,\"namespaces\":[{\"id\":1,\"file\":null,\"size\":512,\"block-size\":512}]}")]
    [InlineData("{\"version\":1,\"namespaces\":[{\"id\":1,\"file\":\"x\",\"size\":512,\"block-size\":512,\"hosts\":[null]}]}")]
    public async Task Invalid_records_are_rejected(string text)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "namespaces.json"), text, TestContext.Current.CancellationToken);
        var e = await Assert.ThrowsAsync<ToolException>(() => StartAsync());
        Assert.Contains("namespaces.json", e.Message, StringComparison.Ordinal);
    }

    private static List<byte> Types(byte[] log)
    {
        var types = new List<byte>();
        int at = 512;
        for (uint left = ReadUInt32LittleEndian(log.AsSpan(4)); left > 0 && at + 24 < log.Length; left--)
        {
            types.Add(log[at]);
            at += 24 + ReadUInt16LittleEndian(log.AsSpan(at + 22));
        }

        return types;
    }

    private static byte[] Template(ulong blocks, ulong capacity, byte format)
    {
        byte[] template = new byte[4096];
        WriteUInt64LittleEndian(template, blocks);
        WriteUInt64LittleEndian(template.AsSpan(8), capacity);
        template[26] = format;

        // shared: several controllers of a host have it
        template[30] = 1;
        return template;
    }

    private static (NvmeStatus Status, uint Id) Create(RawAdmin admin, ulong blocks, byte format = 0, bool isPrivate = false)
    {
        byte[] template = Template(blocks, blocks, format);
        template[30] = isPrivate ? (byte)0 : (byte)1;
        var completion = admin.Send(AdminOpcode.NamespaceManagement, template);
        return (completion.Status, (uint)completion.Result);
    }

    private static NvmeStatus Delete(RawAdmin admin, uint id) => admin.Run(AdminOpcode.NamespaceManagement, id, 1).Status;

    private static NvmeStatus Attach(RawAdmin admin, uint id, params ushort[] controllers)
        => admin.Send(AdminOpcode.NamespaceAttachment, ControllerList(controllers), id).Status;

    private static NvmeStatus Detach(RawAdmin admin, uint id, params ushort[] controllers)
        => admin.Send(AdminOpcode.NamespaceAttachment, ControllerList(controllers), id, 1).Status;

    private static byte[] ControllerList(ushort[] controllers)
    {
        byte[] list = new byte[4096];
        WriteUInt16LittleEndian(list, (ushort)controllers.Length);
        for (int i = 0; i < controllers.Length; i++)
        {
            WriteUInt16LittleEndian(list.AsSpan(2 * (i + 1)), controllers[i]);
        }

        return list;
    }

    private static uint[] List(RawAdmin admin, byte cns, byte commandSet = 0)
    {
        byte[] list = admin.Identify(cns, 0, commandSet).Data!;
        return [.. Enumerable.Range(0, 1024).Select(i => ReadUInt32LittleEndian(list.AsSpan(4 * i))).TakeWhile(id => id != 0)];
    }

    private static RawAdmin Connect(TestServer server) => new(server.NvmeAddress.Port, Nqn);

    // the same host as that of RawAdmin: its controllers get the namespaces that one of them had
    private static async Task<IBlockDevice> OpenAsync(TestServer server, string host = Secrets.RawHostNqn)
    {
        var options = new NvmeTcpHostOptions
        {
            Host = "127.0.0.1", Port = server.NvmeAddress.Port, SubsystemNqn = Nqn, HostNqn = host,
        };
        return await (await NvmeTcpHost.ConnectAsync(options)).OpenAsync(1, ownsHost: true);
    }

    private Task<TestServer> StartAsync(Func<ServeSettings, ServeSettings>? with = null)
    {
        var settings = TestServer.SettingsIn(_folder) with
        {
            Nbd = null, Nqn = Nqn, NamespaceDir = _folder, NamespaceQuota = "1G", NamespaceZoneSize = "1M",
        };
        return TestServer.StartInAsync(_folder, with?.Invoke(settings) ?? settings);
    }
}
