using Paddock.Nvme.Wire;
using Paddock.Serving;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>A reply holds only bytes its command wrote and zeroes, never stale bytes of the shared buffers.</summary>
public class AnswerTests
{
    private const byte Secret = 0xA5;
    private const int Room = 256 << 10;

    [Fact]
    public async Task Replies_carry_only_bytes_that_their_command_wrote()
    {
        var pool = new SlabPool(256 << 20);
        await using var bench = await Bench.StartAsync(options: new NvmeTargetOptions { Buffers = pool });
        using RawHost admin = new(bench.Server.Address.Port), io = new(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        io.Initialize();
        io.Connect(bench.Subsystem.Nqn, 1, controller);

        int answers = 0;
        foreach (uint room in (ReadOnlySpan<uint>)[4096, 8192, 12 << 10, 64 << 10, Room])
        {
            for (uint cns = 0; cns < 0x20; cns++)
            {
                answers += Ask(pool, admin, AdminOpcode.Identify, room, dword10: cns)
                    + Ask(pool, admin, AdminOpcode.Identify, room, dword10: cns, dword11: 2u << 24);
            }

            for (uint page = 0; page <= 0xFF; page++)
            {
                answers += Ask(pool, admin, AdminOpcode.GetLogPage, room, dword10: page | (127u << 16));
                answers += Ask(pool, admin, AdminOpcode.GetLogPage, room, dword10: page | (1023u << 16), dword12: 4);
            }

            for (uint feature = 0; feature <= 0x20; feature++)
            {
                answers += Ask(pool, admin, AdminOpcode.GetFeatures, room, dword10: feature);
            }

            for (uint selector = 0; selector <= 8; selector++)
            {
                foreach (uint dwords in (ReadOnlySpan<uint>)[1, 15, 31, (room / 4) - 1])
                {
                    answers += Ask(pool, io, Opcode.ZoneManagementReceive, room, dword12: dwords, dword13: selector << 8);
                    answers += Ask(pool, io, Opcode.ZoneManagementReceive, room, dword12: dwords, dword13: (selector << 8) | (1 << 16));
                }
            }

            answers += Ask(pool, io, Opcode.Read, room, dword12: (room / 512) - 1);
            answers += Ask(pool, io, Opcode.Read, room, dword12: 0);
        }

        // every opcode that moves data to the host, known or not
        for (int opcode = 2; opcode <= 0xFF; opcode += 4)
        {
            answers += Ask(pool, admin, (byte)opcode, Room) + Ask(pool, io, (byte)opcode, Room);
        }

        Assert.InRange(answers, 200, int.MaxValue);
    }

    [Fact]
    public async Task Authentication_reply_holds_its_message_and_zeroes()
    {
        var pool = new SlabPool(256 << 20);
        await using var bench = await Secrets.StartAsync(options: new NvmeTargetOptions { Buffers = pool });
        using var raw = new RawHost(bench.Server.Address.Port);
        raw.Initialize();
        raw.Connect(bench.Subsystem.Nqn);
        Poison(pool);
        byte[] failure = raw.ReceiveMessage();
        Assert.True(failure.AsSpan(16).IndexOfAnyExcept((byte)0) < 0);
    }

    /// <summary>Fills the buffers allocated next with a marker that must not be sent.</summary>
    internal static void Poison(SlabPool pool)
    {
        var slabs = Enumerable.Range(0, 3).SelectMany(_ => new[] { 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10 })
            .Select(size => pool.Rent(size)).ToArray();
        foreach (var slab in slabs)
        {
            slab.Bytes.AsSpan().Fill(Secret);
            slab.Release();
        }
    }

    private static int Ask(
        SlabPool pool, RawHost raw, byte opcode, uint room, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0, uint dword13 = 0)
    {
        Poison(pool);
        raw.Send(RawHost.Capsule(AdmissionTests.Entry(opcode, 1, SubmissionEntry.InTransport, room) with
        {
            Dword10 = dword10, Dword11 = dword11, Dword12 = dword12, Dword13 = dword13,
        }));
        byte[] head = raw.Receive(24);
        if (PduHeader.Read(head).Type != PduType.ControllerData)
        {
            return 0;
        }

        byte[] data = raw.Receive((int)DataPdu.Read(head).Length);
        Assert.Equal((int)room, data.Length);
        Assert.Equal(NvmeStatus.Success, raw.Response().Status);
        int at = data.AsSpan().IndexOf(Enumerable.Repeat(Secret, 8).ToArray());
        Assert.True(at < 0,
            $"opcode {opcode:x2}, {room} bytes, dwords {dword10:x} {dword11:x} {dword12:x} {dword13:x}: byte {at} is another client's");
        return 1;
    }
}
