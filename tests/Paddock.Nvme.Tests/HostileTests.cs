using System.Net.Sockets;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>A client that violates the protocol loses only its own connection, with the status of the violation.</summary>
public class HostileTests
{
    public static TheoryData<string, byte[], int> BadHeaders => new()
    {
        { "a PDU that only a controller sends", Header(7, 0, 24, 24, 48), 1 },
        { "an unknown type", Header(0x55, 0, 24, 0, 24), 1 },
        { "a header length that is not the command's", Header(4, 0, 71, 0, 72), 1 },
        { "a PDU shorter than its header", Header(4, 0, 72, 0, 8), 1 },
        { "a PDU length of zero", Header(4, 0, 72, 0, 0), 1 },
        { "data that begins in the header", Header(4, 0, 72, 8, 1096), 1 },
        { "data beyond the capsule's limit", Header(4, 0, 72, 72, 0x7FFFFFFF), 5 },
        { "data that would fit a data PDU, in a capsule", Header(4, 0, 72, 72, 72 + (512 << 10)), 5 },
        { "a length of 4 GiB less one", Header(4, 0, 72, 72, 0xFFFFFFFF), 5 },
        { "a digest that was not agreed", Header(4, 1, 72, 0, 76), 1 },
        { "a second initialize", Header(0, 0, 128, 0, 128), 2 },
        { "data that was not asked for", [.. Header(6, 4, 24, 24, 28), .. new byte[20]], 1 },
    };

    [Theory]
    [MemberData(nameof(BadHeaders))]
    public async Task Invalid_header_ends_its_connection(string what, byte[] bytes, int error)
    {
        await using var bench = await Bench.StartAsync();
        using (var raw = new RawHost(bench.Server.Address.Port))
        {
            raw.Initialize();
            raw.Send([.. bytes, .. new byte[Math.Max(0, 128 - bytes.Length)]]);
            Assert.True((int)raw.Terminated().Error == error, what);
        }

        await bench.Zoned.WriteAsync(0, new byte[4096]);
    }

    [Fact]
    public async Task Command_before_initialize_ends_the_connection()
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Send(RawHost.Capsule(default));
        Assert.Equal(FatalError.Sequence, raw.Terminated().Error);
    }

    [Fact]
    public async Task Wrong_header_digest_ends_the_connection_and_is_returned_in_the_terminate_request()
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize(digests: 1);
        byte[] pdu = new byte[76];
        new PduHeader(PduType.Command, PduFlags.HeaderDigest, 72, 0, 76).WriteTo(pdu);
        pdu.AsSpan(72).Fill(0x5A);
        raw.Send(pdu);
        Assert.Equal(new TerminatePdu(FatalError.HeaderDigest, 0x5A5A5A5A), raw.Terminated());
    }

    [Fact]
    public async Task Wrong_data_digest_fails_only_its_command()
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize(digests: 2);
        byte[] data = new byte[1024];
        var connect = new SubmissionEntry { Opcode = Opcode.Fabrics, Flags = 0x40, NamespaceId = FabricsType.Connect, DataLength = 1024,
            DataKind = 1 };
        byte[] pdu = [.. RawHost.Capsule(connect, data), 1, 2, 3, 4];
        new PduHeader(PduType.Command, PduFlags.DataDigest, 72, 72, (uint)pdu.Length).WriteTo(pdu);
        raw.Send(pdu);
        var completion = raw.Response();
        Assert.Equal((NvmeStatus.TransientTransportError, true), (completion.Status, completion.Retry));
    }

    [Theory]
    [InlineData(0, 4096, 4096, 4, null)]
    [InlineData(1, 4096, 4096, 4, FatalError.DataOutOfRange)]
    [InlineData(0, 8192, 8192, 4, FatalError.DataOutOfRange)]
    [InlineData(0, 4096, 2048, 4, FatalError.InvalidHeaderField)]
    [InlineData(0, 2048, 2048, 4, FatalError.InvalidHeaderField)]
    [InlineData(0, 4096, 4096, 0, FatalError.InvalidHeaderField)]
    public async Task Data_that_was_not_requested_ends_the_connection(int offset, int length, int claimed, int flags, object? error)
    {
        await using var bench = await Bench.StartAsync();
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn, 1, controller);
        raw.Send(RawHost.Capsule(new SubmissionEntry
        {
            Opcode = Opcode.Write, Flags = 0x40, CommandId = 9, NamespaceId = 1, DataLength = 4096, DataKind = SubmissionEntry.InTransport,
                Dword12 = 7,
        }));
        var ready = DataPdu.Read(raw.Receive(24));
        Assert.Equal((9, 0u, 4096u), (ready.CommandId, ready.Offset, ready.Length));
        byte[] pdu = new byte[24 + length];
        new DataPdu(9, ready.TransferTag, (uint)offset, (uint)claimed)
            .WriteTo(pdu, new PduHeader(PduType.HostData, (PduFlags)flags, 24, 24, (uint)pdu.Length));
        raw.Send(pdu);
        if (error is null)
        {
            Assert.Equal(NvmeStatus.Success, raw.Response().Status);
        }
        else
        {
            Assert.Equal(error, raw.Terminated().Error);
        }
    }

    [Fact]
    public async Task Client_that_never_reads_does_not_block_others()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn, 1, controller);
        raw.Socket.SendTimeout = 200;
        try
        {
            for (ushort i = 0; i < 31; i++)
            {
                raw.Send(RawHost.Capsule(new SubmissionEntry
                {
                    Opcode = Opcode.Read, Flags = 0x40, CommandId = i, NamespaceId = 1, DataLength = 1 << 20,
                        DataKind = SubmissionEntry.InTransport, Dword12 = 2047,
                }));
            }
        }
        catch (SocketException)
        {
            // the server may stop reading
        }

        await Task.WhenAll(Enumerable.Range(0, 100).Select(i => bench.Zoned.Zones!.AppendAsync(0, new byte[4096]).AsTask()))
            .WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task Memory_is_freed_when_a_client_that_never_read_disconnects()
    {
        await using var bench = await Bench.StartAsync();
        long before = bench.Target.BytesInMemory;
        for (int i = 0; i < 8; i++)
        {
            using var admin = new RawHost(bench.Server.Address.Port);
            admin.Initialize();
            ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
            admin.Enable();
            using var raw = new RawHost(bench.Server.Address.Port);
            raw.Initialize();
            raw.Connect(bench.Subsystem.Nqn, 1, controller);
            for (ushort id = 0; id < 12; id++)
            {
                raw.Send(RawHost.Capsule(new SubmissionEntry
                {
                    Opcode = Opcode.Read, Flags = 0x40, CommandId = id, NamespaceId = 1, DataLength = 1 << 20,
                        DataKind = SubmissionEntry.InTransport, Dword12 = 2047,
                }));
            }

            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        await Eventually.IsAsync(() => Task.FromResult(bench.Target.BytesInMemory), bytes => bytes <= before);
    }

    [Fact]
    public async Task Handshake_sent_byte_by_byte_times_out()
    {
        await using var bench = await Bench.StartAsync(
            options: new NvmeTargetOptions { HandshakeTimeout = TimeSpan.FromMilliseconds(400) });
        using var raw = new RawHost(bench.Server.Address.Port);
        var end = DateTimeOffset.UtcNow.AddSeconds(20);
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            while (DateTimeOffset.UtcNow < end)
            {
                raw.Send([0]);
                await Task.Delay(100);
            }
        });
    }

    [Fact]
    public async Task More_commands_than_queue_entries_end_the_connection()
    {
        await using var bench = await Bench.StartAsync();
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn);
        raw.Enable();
        for (ushort i = 0; i < 40; i++)
        {
            raw.Send(RawHost.Capsule(new SubmissionEntry
            {
                Opcode = 0x01, Flags = 0x40, CommandId = i, DataLength = 4096, DataKind = SubmissionEntry.InTransport,
            }));
        }

        for (int i = 0; i < 32; i++)
        {
            Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(raw.Receive(24)).Type);
        }

        Assert.Equal(FatalError.Sequence, raw.Terminated().Error);
    }

    private static byte[] Header(byte type, byte flags, byte headerLength, byte offset, uint length)
    {
        byte[] bytes = new byte[8];
        new PduHeader((PduType)type, (PduFlags)flags, headerLength, offset, length).WriteTo(bytes);
        return bytes;
    }
}
