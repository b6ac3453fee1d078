using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Interleaved transfers: a damaged part fails its own command only.</summary>
public class DigestTests
{
    private const int Transfer = 8192;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(20261128)]
    public async Task Only_damaged_commands_of_interleaved_transfers_fail(int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var bench = await Bench.StartAsync();
        await using var disk = CheckedDevice.Wrap(new RawDevice(await StorageAsync()));
        bench.Subsystem.Add(new NvmeNamespace(2, disk, 512, "plain"));
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        using var host = new RawHost(bench.Server.Address.Port);
        host.Initialize(digests: InitializePdu.DataDigestBit);
        host.Connect(bench.Subsystem.Nqn, 1, controller, digest: true);
        for (int round = 0; round < 60; round++)
        {
            await RunAsync(host, disk, random, $"seed {seed}, round {round}");
        }
    }

    private static async Task<MemoryStorage> StorageAsync()
    {
        var storage = new MemoryStorage();
        await storage.SetLengthAsync(1 << 20);
        return storage;
    }

    private static async Task RunAsync(RawHost host, CheckedDevice disk, Random random, string where)
    {
        int count = random.Next(2, 8);
        var open = new List<Sending>();
        for (ushort i = 0; i < count; i++)
        {
            host.Send(RawHost.Capsule(new SubmissionEntry
            {
                Opcode = Opcode.Write, Flags = 0x40, CommandId = i, NamespaceId = 2, DataKind = SubmissionEntry.InTransport,
                    DataLength = Transfer,
                Dword10 = i * (Transfer / 512u), Dword12 = (Transfer / 512) - 1,
            }));
            byte[] ready = host.Receive(24);
            Assert.Equal(PduType.ReadyToTransfer, PduHeader.Read(ready).Type);
            byte[] data = new byte[Transfer];
            random.NextBytes(data);
            open.Add(new Sending(i, DataPdu.Read(ready).TransferTag, data));
        }

        await disk.WriteZeroesAsync(0, count * Transfer);
        Sending[] all = [.. open];
        while (open.Count > 0)
        {
            var one = open[random.Next(open.Count)];
            int length = Math.Min(random.Next(1, 16) * 512, Transfer - one.Sent);
            bool damage = random.Next(6) == 0;
            one.IsDamaged |= damage;
            host.Send(one.Pdu(length, damage));
            if (one.Sent == Transfer)
            {
                open.Remove(one);
            }
        }

        for (int i = 0; i < count; i++)
        {
            var completion = host.Response();
            var expected = all[completion.CommandId].IsDamaged ? NvmeStatus.TransientTransportError : NvmeStatus.Success;
            Assert.True(expected == completion.Status, $"{where}, command {completion.CommandId}: {completion.Status}");
        }

        foreach (var one in all)
        {
            byte[] stored = new byte[Transfer];
            await disk.ReadAsync(one.Id * Transfer, stored);
            Assert.True(stored.AsSpan().SequenceEqual(one.IsDamaged ? new byte[Transfer] : one.Data), $"{where}, command {one.Id}");
        }
    }

    private sealed class Sending(ushort id, ushort tag, byte[] data)
    {
        public ushort Id => id;

        public byte[] Data => data;

        public int Sent { get; private set; }

        public bool IsDamaged { get; set; }

        public byte[] Pdu(int length, bool damage)
        {
            byte[] pdu = new byte[24 + length + 4];
            bool last = Sent + length == data.Length;
            var flags = PduFlags.DataDigest | (last ? PduFlags.Last : 0);
            new DataPdu(id, tag, (uint)Sent, (uint)length).WriteTo(pdu, new PduHeader(PduType.HostData, flags, 24, 24, (uint)pdu.Length));
            data.AsSpan(Sent, length).CopyTo(pdu.AsSpan(24));
            Crc32C.Write(pdu.AsSpan(24, length), pdu.AsSpan(24 + length));
            pdu[24 + length] ^= (byte)(damage ? 1 : 0);
            Sent += length;
            return pdu;
        }
    }
}
