using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Serving;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>
/// Published vulnerabilities of other targets: the offending client loses its connection or its command, and others are unaffected.
/// </summary>
public class PublishedHolesTests
{
    private static readonly SubmissionEntry Write = new()
    {
        Opcode = Opcode.Write, Flags = 0x40, CommandId = 9, NamespaceId = 1, DataLength = 4096, DataKind = SubmissionEntry.InTransport,
            Dword12 = 7,
    };

    // unsolicited data PDUs: CVE-2023-6356, CVE-2023-6535 and CVE-2023-6536 (Linux nvmet) are of this family
    [Theory]
    [InlineData(Opcode.Flush, 0)]
    [InlineData(Opcode.Read, 4096)]
    public async Task Data_for_a_command_without_data_ends_the_connection(byte opcode, int length)
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        pair.Io.Send(RawHost.Capsule(
            Write with { Opcode = opcode, DataLength = (uint)length, DataKind = length > 0 ? SubmissionEntry.InTransport : (byte)0 }));
        Skip(pair.Io, length > 0 ? 24 + length : 0);
        Assert.Equal(NvmeStatus.Success, pair.Io.Response().Status);
        pair.Io.Send(Data(9, 0, 0, new byte[4096]));
        Assert.Equal(FatalError.InvalidHeaderField, pair.Io.Terminated().Error);
        await Serves(bench);
    }

    // the same family: a transfer tag beyond the queue
    [Theory]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(1024)]
    [InlineData(0xFFFF)]
    public async Task Unknown_transfer_tag_ends_the_connection(ushort tag)
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        pair.Io.Send(RawHost.Capsule(Write));
        Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(pair.Io.Receive(24)).Type);
        pair.Io.Send(Data(9, tag, 0, new byte[4096]));
        Assert.Equal(FatalError.InvalidHeaderField, pair.Io.Terminated().Error);
        await Serves(bench);
    }

    // hosts that submit writes and send no data
    [Fact]
    public async Task Stop_does_not_wait_for_outstanding_data()
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        pair.Io.Send(RawHost.Capsule(Write));
        Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(pair.Io.Receive(24)).Type);

        // a second write that has its data and waits behind the first in the zone
        pair.Io.Send(RawHost.Capsule(Write with { CommandId = 10, Dword10 = 8 }));
        var ready = DataPdu.Read(pair.Io.Receive(24));
        pair.Io.Send(Data(10, ready.TransferTag, 0, new byte[4096]));
        pair.Io.Send(RawHost.Capsule(new SubmissionEntry { Opcode = Opcode.Flush, Flags = 0x40, CommandId = 11, NamespaceId = 1 }));
        Assert.Equal(NvmeStatus.Success, pair.Io.Response().Status);
        await bench.Server.StopAsync(Timeout.InfiniteTimeSpan).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
    }

    // the same data twice: a transfer ends once
    [Fact]
    public async Task Duplicate_data_ends_the_connection_and_the_write_counts_once()
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        pair.Io.Send(RawHost.Capsule(Write));
        var ready = DataPdu.Read(pair.Io.Receive(24));
        byte[] data = Data(9, ready.TransferTag, 0, new byte[4096]);
        pair.Io.Send([.. data, .. data]);
        Assert.Equal(NvmeStatus.Success, pair.Io.Response().Status);
        Assert.Equal(FatalError.InvalidHeaderField, pair.Io.Terminated().Error);
        var zone = new Block.ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(0, zone);
        Assert.Equal(4096, zone[0].WritePointer);
    }

    // CVE-2023-5178 (Linux nvmet): a rejected initialize request, sent twice
    [Theory]
    [InlineData(128, 129)]
    [InlineData(128, 0xFFFFFFFF)]
    [InlineData(127, 128)]
    [InlineData(0, 0)]
    public async Task Initialize_of_wrong_length_ends_the_connection_and_frees_nothing_twice(byte header, uint length)
    {
        await using var bench = await Bench.StartAsync();
        for (int i = 0; i < 20; i++)
        {
            using var raw = new RawHost(bench.Server.Address.Port);
            byte[] pdu = new byte[128];
            new PduHeader(PduType.InitializeRequest, 0, header, 0, length).WriteTo(pdu);
            raw.Send([.. pdu, .. pdu]);
            Assert.Equal(FatalError.InvalidHeaderField, raw.Terminated().Error);
        }

        await Serves(bench);
    }

    // a queue that connects twice, or whose controller is another host's (Linux nvmet, SPDK: queues taken over)
    [Fact]
    public async Task Queue_connects_once_and_only_to_a_controller_of_its_host()
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        using var again = new RawHost(bench.Server.Address.Port);
        again.Initialize();
        Assert.Equal(NvmeStatus.ConnectInvalidParameters, Connect(again, bench, 1, pair.Controller, RawHostNqn));
        using var stranger = new RawHost(bench.Server.Address.Port);
        stranger.Initialize();
        Assert.Equal(NvmeStatus.ConnectInvalidParameters, Connect(stranger, bench, 2, pair.Controller, "nqn.2014-08.org.example:stranger"));
        Assert.Equal(NvmeStatus.CommandSequence, Connect(pair.Io, bench, 1, pair.Controller, RawHostNqn));
    }

    // unterminated names (SPDK, nvmet: reads past the field)
    [Theory]
    [InlineData(ConnectData.SubsystemField)]
    [InlineData(ConnectData.HostField)]
    public async Task Unterminated_name_is_rejected(int field)
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        byte[] data = new byte[ConnectData.Size];
        new ConnectData(1, ConnectData.AnyController, bench.Subsystem.Nqn, RawHostNqn).WriteTo(data);
        data.AsSpan(field, 256).Fill((byte)'n');
        raw.Send(RawHost.Capsule(ConnectEntry(0), data));
        Assert.Contains(raw.Response().Status, new[] { NvmeStatus.ConnectInvalidParameters, NvmeStatus.ConnectInvalidHost });
    }

    // connect floods: clients that send nothing, or half a PDU, occupy a slot no longer than the handshake timeout
    [Fact]
    public async Task Flood_of_silent_clients_does_not_block_a_host()
    {
        await using var bench = await Bench.StartAsync(
            options: new NvmeTargetOptions { Connections = 16, HandshakeTimeout = TimeSpan.FromMilliseconds(500) });
        var flood = new List<Socket>();
        try
        {
            for (int i = 0; i < 200; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                flood.Add(socket);
                socket.Connect("127.0.0.1", bench.Server.Address.Port);
                socket.Send(new byte[i % 128]);
            }

            // the connected host is unaffected
            await bench.Zoned.WriteAsync(0, new byte[4096]);
            Assert.True(bench.Server.Connections.Count <= 16);
            // one that comes before the last of the flood is gone is refused, or is itself too slow for the timeout
            await using var late = await Eventually.IsAsync(() => TryConnectAsync(bench), static host => host is not null);
            Assert.Equal([1u], await late!.ListAsync());
        }
        finally
        {
            flood.ForEach(s => s.Dispose());
        }
    }

    private static async Task<NvmeTcpHost?> TryConnectAsync(Bench bench)
    {
        try
        {
            return await NvmeTcpHost.ConnectAsync(bench.HostOptions());
        }
        catch (BlockException)
        {
            return null;
        }
    }

    // a controller reset while transfers are outstanding (Linux nvmet: use after free)
    [Fact]
    public async Task Reset_during_transfers_frees_every_buffer()
    {
        await using var bench = await Bench.StartAsync();
        long before = bench.Target.BytesInMemory;
        for (int i = 0; i < 10; i++)
        {
            using var pair = new Pair(bench);
            for (ushort id = 0; id < 8; id++)
            {
                pair.Io.Send(RawHost.Capsule(Write with { CommandId = id, DataLength = 1 << 20, Dword12 = 2047 }));
            }

            pair.Io.Receive(24);
            pair.Admin.Send(RawHost.Capsule(new SubmissionEntry
            {
                Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 2, NamespaceId = FabricsType.PropertySet,
                    Dword11 = Properties.Configuration, Dword12 = 0x460060,
            }));
            Assert.Equal(NvmeStatus.Success, pair.Admin.Response().Status);
        }

        await Eventually.IsAsync(() => Task.FromResult(bench.Target.BytesInMemory), bytes => bytes <= before);
        await Serves(bench);
    }

    [Fact]
    public async Task Reset_frees_the_slots_and_identifiers_of_event_requests()
    {
        await using var bench = await Bench.StartAsync();
        using var pair = new Pair(bench);
        var request = new SubmissionEntry { Opcode = AdminOpcode.AsyncEventRequest, Flags = 0x40, CommandId = 10 };
        for (int i = 0; i < 3; i++)
        {
            pair.Admin.Send(RawHost.Capsule(request));
            pair.Admin.Send(RawHost.Capsule(new SubmissionEntry
            {
                Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 11, NamespaceId = FabricsType.PropertySet,
                Dword11 = Properties.Configuration, Dword12 = 0x460060,
            }));
            var answer = pair.Admin.Response();
            Assert.Equal((11, NvmeStatus.Success), (answer.CommandId, answer.Status));
            pair.Admin.Enable();
        }

        // a stop waits for no request for events
        long since = Environment.TickCount64;
        await bench.Server.StopAsync(TimeSpan.FromSeconds(20));
        Assert.InRange(Environment.TickCount64 - since, 0, 10_000);
    }

    // a host that exhausts memory by large writes: the transfers granted at a time are bounded
    [Fact]
    public async Task Transfers_are_granted_within_the_connections_limit()
    {
        await using var bench = await Bench.StartAsync(options: new NvmeTargetOptions { ConnectionBytes = 2 << 20 });
        long before = bench.Target.BytesInMemory;
        using var pair = new Pair(bench);
        for (ushort id = 0; id < 30; id++)
        {
            pair.Io.Send(RawHost.Capsule(Write with { CommandId = id, DataLength = 1 << 20, Dword12 = 2047 }));
        }

        Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(pair.Io.Receive(24)).Type);
        Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(pair.Io.Receive(24)).Type);
        pair.Io.Socket.ReceiveTimeout = 300;
        Assert.Throws<SocketException>(() => pair.Io.Receive(24));
        Assert.InRange(bench.Target.BytesInMemory - before, 0, 8 << 20);
    }

    // unread replies: small ones are batched and still count as held memory
    [Fact]
    public async Task Unread_small_replies_count_against_the_connection_limit()
    {
        await using var bench = await Bench.StartAsync(options: new NvmeTargetOptions { ConnectionBytes = 1 << 20 });
        using var pair = new Pair(bench);
        pair.Io.Socket.ReceiveBufferSize = 4096;
        pair.Io.Socket.SendTimeout = 500;
        byte[] batch = [.. Enumerable.Range(0, 31)
            .SelectMany(i => RawHost.Capsule(Write with { Opcode = Opcode.Read, CommandId = (ushort)i }))];
        int sent = 0;
        try
        {
            for (; sent < 20_000; sent += 31)
            {
                pair.Io.Send(batch);
            }
        }
        catch (SocketException)
        {
            // the server stopped reading
        }

        long taken;
        do
        {
            taken = bench.Server.Pdus;
            await Task.Delay(300, TestContext.Current.CancellationToken);
        }
        while (bench.Server.Pdus != taken);

        // 20,000 replies of 4 KiB would be 80 MB; the bytes read fit the limit and the socket buffers. A slow machine may still run a
        // command when its identifier is reused, and rejects the second: those replies are small
        Assert.InRange(bench.Namespace.Statistics[ServedOperation.Read], 1, 12_000);
        await Serves(bench);
    }

    // no memory for a transfer: the command fails and does not block later writes of its zone
    [Fact]
    public async Task Transfer_without_memory_fails_and_does_not_block_its_zone()
    {
        await using var bench = await Bench.StartAsync(options: new NvmeTargetOptions { TotalBytes = 4 << 20 });
        using var pair = new Pair(bench);
        using var hungry = new Pair(bench);
        for (ushort id = 0; id < 4; id++)
        {
            // granted but never sent: they hold all the memory
            hungry.Io.Send(RawHost.Capsule(Write with { CommandId = id, DataLength = 1 << 20, Dword10 = 4096, Dword12 = 2047 }));
        }

        hungry.Io.Receive(24);
        pair.Io.Send(RawHost.Capsule(Write with { CommandId = 7, DataLength = 1 << 20, Dword12 = 2047 }));
        Assert.Equal(NvmeStatus.CommandInterrupted, pair.Io.Response().Status);
        hungry.Dispose();
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(NvmeStatus.Success, await WriteAsync(pair.Io, (uint)i * 8));
        }

        var zone = new Block.ZoneDescriptor[1];
        await bench.Zoned.Zones!.ReportAsync(0, zone);
        Assert.Equal(3 * 4096, zone[0].WritePointer);
    }

    // a write by a transfer, retried while there is no memory
    private static async Task<NvmeStatus> WriteAsync(RawHost raw, uint block)
    {
        for (int tries = 0; ; tries++)
        {
            raw.Send(RawHost.Capsule(Write with { Dword10 = block }));
            byte[] answer = raw.Receive(24);
            if (PduHeader.Read(answer).Type == PduType.ReadyToTransfer)
            {
                raw.Send(Data(9, DataPdu.Read(answer).TransferTag, 0, new byte[4096]));
                return raw.Response().Status;
            }

            var status = CompletionEntry.Read(answer.AsSpan(8)).Status;
            if (status != NvmeStatus.CommandInterrupted || tries == 200)
            {
                return status;
            }

            await Task.Delay(25, TestContext.Current.CancellationToken);
        }
    }

    private const string RawHostNqn = "nqn.2014-08.org.example:raw";

    private static SubmissionEntry ConnectEntry(ushort queue) => new()
    {
        Opcode = Opcode.Fabrics, Flags = 0x40, CommandId = 1, NamespaceId = FabricsType.Connect, DataLength = 1024,
            DataKind = SubmissionEntry.InCapsule,
        Dword10 = (uint)queue << 16, Dword11 = 31,
    };

    private static NvmeStatus Connect(RawHost raw, Bench bench, ushort queue, ushort controller, string host)
    {
        byte[] data = new byte[ConnectData.Size];
        new ConnectData(1, controller, bench.Subsystem.Nqn, host).WriteTo(data);
        raw.Send(RawHost.Capsule(ConnectEntry(queue), data));
        return raw.Response().Status;
    }

    private static byte[] Data(ushort command, ushort tag, uint offset, byte[] data)
    {
        byte[] pdu = new byte[24 + data.Length];
        new DataPdu(command, tag, offset, (uint)data.Length)
            .WriteTo(pdu, new PduHeader(PduType.HostData, PduFlags.Last, 24, 24, (uint)pdu.Length));
        data.CopyTo(pdu, 24);
        return pdu;
    }

    private static void Skip(RawHost raw, int bytes) => raw.Receive(bytes);

    private static async Task Serves(Bench bench)
    {
        await bench.Zoned.Zones!.AppendAsync(0, new byte[4096]);
        await using var fresh = await NvmeTcpHost.ConnectAsync(bench.HostOptions());
        Assert.Equal([1u], await fresh.ListAsync());
    }

    /// <summary>A controller with one I/O queue, driven by raw PDUs.</summary>
    private sealed class Pair : IDisposable
    {
        public Pair(Bench bench)
        {
            Admin = new RawHost(bench.Server.Address.Port);
            Admin.Initialize();
            Controller = (ushort)Admin.Connect(bench.Subsystem.Nqn);
            Admin.Enable();
            Io = new RawHost(bench.Server.Address.Port);
            Io.Initialize();
            Io.Connect(bench.Subsystem.Nqn, 1, Controller);
        }

        public RawHost Admin { get; }

        public RawHost Io { get; }

        public ushort Controller { get; }

        public void Dispose()
        {
            Io.Dispose();
            Admin.Dispose();
        }
    }
}
