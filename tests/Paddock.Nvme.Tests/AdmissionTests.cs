using System.Net.Sockets;
using Paddock.Nvme.Host;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>A queue runs only commands that its current state admits, whenever they were sent.</summary>
public class AdmissionTests
{
    public static TheoryData<string, byte, uint> WaysOfData => new()
    {
        { "in the capsule", SubmissionEntry.InCapsule, 512 },
        { "by R2T", SubmissionEntry.InTransport, 512 },
        { "none", 0, 0 },
    };

    [Theory]
    [MemberData(nameof(WaysOfData))]
    public async Task Every_command_but_Connect_is_rejected_before_Connect(string way, byte kind, uint length)
    {
        await using var bench = await Secrets.StartAsync();
        for (int opcode = 0; opcode <= 0xFF; opcode++)
        {
            for (uint type = 0; type <= (opcode == Opcode.Fabrics ? 0xFFu : 0); type++)
            {
                if (opcode == Opcode.Fabrics && type == FabricsType.Connect)
                {
                    continue;
                }

                // fails on any reply but a response (R2T, data)
                using var raw = new RawHost(bench.Server.Address.Port);
                raw.Initialize();
                var entry = Entry((byte)opcode, opcode == Opcode.Fabrics ? type : 1, kind, length);
                raw.Send(RawHost.Capsule(entry, new byte[kind == SubmissionEntry.InCapsule ? length : 0]));
                Assert.True(raw.Response().Status == NvmeStatus.CommandSequence, $"opcode {opcode:x2}, type {type:x2}, data {way}");
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1023)]
    [InlineData(1025)]
    [InlineData(1 << 20)]
    public async Task Connect_with_data_of_another_length_is_rejected_before_memory_is_allocated(int length)
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Send(RawHost.Capsule(Entry(Opcode.Fabrics, FabricsType.Connect, SubmissionEntry.InTransport, (uint)length)));
        Assert.Equal(NvmeStatus.SglLengthInvalid, raw.Response().Status);
    }

    [Theory]
    [InlineData((ushort)0)]
    [InlineData((ushort)1)]
    public async Task Every_command_is_rejected_on_an_unauthenticated_queue(ushort queue)
    {
        await using var bench = await Secrets.StartAsync();
        using var admin = await AdminAsync(bench);
        for (int opcode = 0; opcode <= 0xFF; opcode++)
        {
            foreach (byte kind in (ReadOnlySpan<byte>)[SubmissionEntry.InCapsule, SubmissionEntry.InTransport, 0])
            {
                uint length = kind == 0 ? 0 : 512u;
                using var raw = new RawHost(bench.Server.Address.Port);
                raw.Initialize();
                raw.Connect(bench.Subsystem.Nqn, queue, queue == 0 ? (ushort)0xFFFF : admin.Controller);
                raw.Send(RawHost.Capsule(Entry((byte)opcode, 1, kind, length), new byte[kind == SubmissionEntry.InCapsule ? length : 0]));
                Assert.True(raw.Response().Status == NvmeStatus.AuthenticationRequired,
                    $"opcode {opcode:x2}, queue {queue}, data kind {kind:x2}");
            }
        }
    }

    [Fact]
    public async Task Write_is_not_run_if_authentication_is_lost_before_its_data_arrives()
    {
        await using var bench = await Secrets.StartAsync();
        using var admin = await AdminAsync(bench);
        using var io = new RawHost(bench.Server.Address.Port);
        io.Initialize();
        io.Connect(bench.Subsystem.Nqn, 1, admin.Controller);
        await io.AuthenticateAsync(Secrets.OneWay);
        io.Send(RawHost.Capsule(Entry(Opcode.Write, 1, SubmissionEntry.InTransport, 512) with { CommandId = 77 }));
        byte[] ready = io.Receive(24);
        Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(ready).Type);

        // a failed second exchange revokes the first authentication
        io.SendMessage([0xFF, 0, 0, 0, 0, 0, 0, 0]);
        Assert.Equal(NvmeStatus.AuthenticationRequired, io.Run(Entry(Opcode.Flush, 1, 0, 0)).Status);
        byte[] pdu = new byte[24 + 512];
        new DataPdu(77, DataPdu.Read(ready).TransferTag, 0, 512)
            .WriteTo(pdu, new PduHeader(PduType.HostData, PduFlags.Last, 24, 24, (uint)pdu.Length));
        pdu.AsSpan(24).Fill(0x5A);
        io.Send(pdu);

        Assert.Equal(NvmeStatus.AuthenticationRequired, io.Response().Status);
        byte[] stored = new byte[512];
        await bench.Zoned.ReadAsync(0, stored);
        Assert.DoesNotContain((byte)0x5A, stored);
    }

    [Fact]
    public async Task Unauthenticated_connection_cannot_take_a_queue_number()
    {
        await using var bench = await Secrets.StartAsync();
        using var admin = await AdminAsync(bench);
        using RawHost keyless = new(bench.Server.Address.Port), host = new(bench.Server.Address.Port),
            late = new(bench.Server.Address.Port);
        foreach (var raw in new[] { keyless, host, late })
        {
            raw.Initialize();
            raw.Connect(bench.Subsystem.Nqn, 1, admin.Controller);
        }

        await host.AuthenticateAsync(Secrets.OneWay);
        Assert.Equal(NvmeStatus.Success, host.Run(Entry(Opcode.Flush, 1, 0, 0)).Status);

        // neither its end nor the end of a connection that authenticates too late affects the queue of the host
        keyless.Dispose();
        await Record.ExceptionAsync(() => late.AuthenticateAsync(Secrets.OneWay));
        Assert.Equal(0, EndOf(late));
        Assert.Equal(NvmeStatus.Success, host.Run(Entry(Opcode.Flush, 1, 0, 0)).Status);
        Assert.Single(bench.Server.Connections, c => c.Queue == 1 && c.Host == Secrets.RawHostNqn);
        Assert.Equal(NvmeStatus.Success, admin.Raw.Run(Entry(AdminOpcode.KeepAlive, 0, 0, 0)).Status);
    }

    [Fact]
    public async Task Unauthenticated_connection_neither_keeps_a_controller_alive_nor_writes_to_its_error_log()
    {
        await using var bench = await Secrets.StartAsync();
        using var admin = await AdminAsync(bench, keepAlive: 300);
        Assert.Equal(NvmeStatus.Success, admin.Raw.Run(Entry(AdminOpcode.KeepAlive, 0, 0, 0)).Status);
        var controller = bench.Subsystem.FindController(admin.Controller)!;
        var errors = controller.Errors.Count;
        using var keyless = new RawHost(bench.Server.Address.Port);
        keyless.Initialize();
        keyless.Connect(bench.Subsystem.Nqn, 1, admin.Controller);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            while (bench.Subsystem.FindController(admin.Controller) is not null)
            {
                Assert.False(limit.IsCancellationRequested,
                    "the controller outlives its host for as long as somebody without a key sends something");
                Assert.Equal(NvmeStatus.AuthenticationRequired, keyless.Run(Entry(Opcode.Flush, 1, 0, 0)).Status);
                Assert.Equal(errors, controller.Errors.Count);
            }
        }
        catch (Exception e) when (e is EndOfStreamException or SocketException)
        {
            // removing the controller ends the connection
        }

        Assert.Null(bench.Subsystem.FindController(admin.Controller));
    }

    [Fact]
    public async Task Queue_number_is_free_after_a_connection_ends_during_authentication()
    {
        await using var bench = await Secrets.StartAsync();
        using var admin = await AdminAsync(bench);
        var controller = bench.Subsystem.FindController(admin.Controller)!;
        using Queue ended = new(), next = new();
        Assert.True(controller.Expect(1, ended));
        controller.Detach(1, ended);
        Assert.False(controller.Admit(1, ended));
        Assert.True(controller.Expect(1, next));
        Assert.True(controller.Admit(1, next));
    }

    [Fact]
    public async Task Active_discovery_connections_are_evicted_for_a_host()
    {
        const int slots = 12;
        await using var bench = await Secrets.StartAsync(options: new NvmeTargetOptions { Connections = slots });
        var evicted = System.Threading.Channels.Channel.CreateUnbounded<string>();
        bench.Server.Evicted += host => evicted.Writer.TryWrite(host);
        var strangers = new List<RawHost>();
        try
        {
            while (bench.Server.Connections.Count < slots)
            {
                var raw = new RawHost(bench.Server.Address.Port);
                strangers.Add(raw);
                raw.Initialize();
                raw.Connect(Identify.DiscoveryLog.WellKnownNqn, keepAlive: 600_000);
                raw.Enable();
            }

            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (!evicted.Reader.TryRead(out string? host) || host != Secrets.RawHostNqn)
            {
                Assert.False(limit.IsCancellationRequested, "no host gets in while strangers keep discovery connections alive");
                try
                {
                    using var raw = new RawHost(bench.Server.Address.Port);
                    raw.Initialize();
                }
                catch (Exception e) when (e is SocketException or EndOfStreamException)
                {
                    // the server rejected it
                    await Task.Yield();
                }
            }
        }
        finally
        {
            strangers.ForEach(s => s.Dispose());
        }
    }

    internal static SubmissionEntry Entry(byte opcode, uint ns, byte kind, uint length)
        => new() { Opcode = opcode, Flags = 0x40, CommandId = 9, NamespaceId = ns, DataKind = kind, DataLength = length };

    private static int EndOf(RawHost raw)
    {
        try
        {
            return raw.Socket.Receive(new byte[1]);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            return 0;
        }
    }

    private static async Task<Admin> AdminAsync(Bench bench, uint keepAlive = 0)
    {
        var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        ushort controller = (ushort)raw.Connect(bench.Subsystem.Nqn, keepAlive: keepAlive);
        await raw.AuthenticateAsync(Secrets.OneWay);
        raw.Enable();
        return new Admin(raw, controller);
    }

    private sealed class Queue : IControllerQueue
    {
        public bool IsAuthenticating => true;

        public bool TryAbort(ushort commandId) => false;

        public void Dispose()
        {
            // no response is pending
        }
    }

    private sealed record Admin(RawHost Raw, ushort Controller) : IDisposable
    {
        public void Dispose() => Raw.Dispose();
    }
}
