using System.Net.Sockets;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Random broken PDUs. PADDOCK_NVME_FUZZ sets their number, PADDOCK_NVME_SEED the first seed.</summary>
[Collection(nameof(AllocationTests))]
public class FuzzTests
{
    private const int Batch = 64;

    [Fact]
    public async Task Broken_PDUs_affect_only_their_sender()
    {
        long count = Fuzzing.Number("PADDOCK_NVME_FUZZ", 50_000);
        int seed = (int)Fuzzing.Number("PADDOCK_NVME_SEED", 1);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {count} PDUs");
        var random = new Random(seed);
        await using var bench = await Bench.StartAsync(area: new(64 << 10, 4096, 3));
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        var growth = new MemoryGrowth(count);
        ushort queue = 1;
        // counts commands that were run: not those sent after a fatal PDU on the same connection
        for (long taken = 0, from = bench.Server.Pdus; taken < count; taken = bench.Server.Pdus - from)
        {
            using var raw = new RawHost(bench.Server.Address.Port);
            raw.Initialize();
            bool connects = random.Next(8) != 0;
            if (connects)
            {
                // the previous connection of the queue may still be closing
                queue = (ushort)((queue % 60) + 1);
                raw.Connect(bench.Subsystem.Nqn, queue, controller);
            }

            SendBroken(raw, random, 200);
            growth.Tried(taken);
        }

        admin.Dispose();
        byte[] data = new byte[4096];
        await bench.Zoned.ReadAsync(0, data).AsTask().WaitAsync(TimeSpan.FromSeconds(20));
        growth.Check(64 << 20, seed);
    }

    private static void SendBroken(RawHost raw, Random random, int most)
    {
        byte[] sink = new byte[1 << 18];
        int sent = 0;
        raw.Socket.Blocking = true;
        raw.Socket.SendTimeout = 2000;
        try
        {
            while (sent < most)
            {
                var batch = new List<byte>();
                int size = random.Next(1, Batch / 4);
                for (int i = 0; i < size; i++, sent++)
                {
                    batch.AddRange(Pdu(random));
                }

                raw.Send(batch.ToArray());
                while (raw.Socket.Available > 0)
                {
                    raw.Socket.Receive(sink);
                }
            }
        }
        catch (SocketException)
        {
            // the server closed the connection
        }
    }

    // a command with random fields, most of them plausible; one in 500 has corrupt bytes as well
    private static byte[] Pdu(Random random)
    {
        byte[] opcodes = [0, 1, 2, 5, 8, 9, 0x0C, 0x79, 0x7A, 0x7D, 0x7F, (byte)random.Next(256)];
        int length = random.Next(6) switch { 0 => 0, 1 => 512, 2 => 4096, 3 => random.Next(5000), 4 => 64, _ => 16 };
        byte[] data = random.Next(2) == 0 ? new byte[length] : [];
        var pdu = RawHost.Capsule(
            new SubmissionEntry
            {
                Opcode = opcodes[random.Next(opcodes.Length)],
                Flags = (byte)(random.Next(20) == 0 ? random.Next(256) : 0x40),
                CommandId = (ushort)random.Next(65536),
                NamespaceId = random.Next(8) == 0 ? (uint)random.Next() : 1,
                DataAddress = random.Next(10) == 0 ? (ulong)random.NextInt64() : 0,
                DataLength = random.Next(10) == 0 ? (uint)random.Next() : (uint)length,
                DataKind = random.Next(3) switch { 0 => SubmissionEntry.InCapsule, 1 => SubmissionEntry.InTransport, _ => data.Length > 0
                ? (byte)1 : (byte)0x5A },
                Dword10 = random.Next(3) == 0 ? (uint)random.Next() : (uint)random.Next(20000),
                Dword11 = random.Next(10) == 0 ? (uint)random.Next() : 0,
                Dword12 = random.Next(5) == 0 ? (uint)random.Next() : (uint)random.Next(16),
                Dword13 = (random.Next(3) == 0 ? 0x10 + (uint)random.Next(2) : (uint)random.Next(8)) | ((uint)random.Next(16) << 8),
            },
            data);
        if (random.Next(500) == 0)
        {
            pdu[random.Next(Math.Min(pdu.Length, 80))] ^= (byte)(1 << random.Next(8));
        }

        return pdu;
    }
}
