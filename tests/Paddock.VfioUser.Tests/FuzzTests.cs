using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.Testing.Protocols.VfioUser;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>
/// Random messages, most of them nearly valid, with descriptors of every kind, while the controller works on what they leave behind.
/// PADDOCK_VFIO_FUZZ sets their number (default 20,000), PADDOCK_SEED the seed.
/// </summary>
[Collection(nameof(DescriptorCollection))]
public class FuzzTests
{
    private const int MessagesASession = 400, Warm = 20, AverageBatch = 16;

    // the runtime opens a few of its own; a leak is one for each of the other sessions
    private const int Noise = 8;

    private static readonly ushort[] Commands =
        [1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 8, 8, 9, 9, 10, 10, 10, 10, 10, 10, 13, 14, 15, 15, 16, 99];

    [Fact]
    public async Task Server_survives_random_messages_without_a_leak()
    {
        long count = Fuzzing.Number("PADDOCK_VFIO_FUZZ", 20_000), taken = 0, sent = 0, sessions = 0;
        int seed = (int)Fuzzing.Number("PADDOCK_SEED", 4), descriptors = int.MaxValue;
        TestContext.Current.TestOutputHelper?.WriteLine($"PADDOCK_SEED={seed}, {count} messages");
        await using var bench = await Bench.StartAsync(new VfioUserServerOptions { MappedDoorbells = seed % 2 == 0 });
        using var memory = new DeviceMemory(4 << 20);
        using var signal = EventDescriptor.Create();
        using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        SafeFileHandle[] handles = [memory.File, memory.File, signal.Handle, signal.Handle, nothing];

        // a message that nearly is one ends its session: counted is what the server has taken
        for (; taken < count; sessions++)
        {
            var random = new Random(seed + (int)sessions);
            using var client = bench.Connect(memory);
            sent += RunSession(client, random, handles);

            // long runs are made with the lowest priority
            Assert.True(client.WaitForEnd(seconds: 600), $"PADDOCK_SEED={seed}: session {sessions} does not end");
            taken = bench.Server.Counts.Requests;
            if (sessions == Warm)
            {
                client.Dispose();
                Settle(bench);
                descriptors = Descriptors();
            }
        }

        Settle(bench);
        TestContext.Current.TestOutputHelper?.WriteLine($"{sent} messages in {sessions} sessions, {bench.Server.Counts}");
        Assert.True(
            SpinWait.SpinUntil(() => Descriptors() <= descriptors + Noise, TimeSpan.FromSeconds(30)),
            $"{Descriptors()} descriptors, {descriptors} after {Warm} sessions");
        var counts = bench.Server.Counts;
        Assert.True(counts.Requests > 0 && counts.Rejected > 0 && counts.Rejected < counts.Requests);
        using var other = new DeviceMemory(4 << 20);
        using var driver = NvmeDriver.Start(bench.Connect(other), other);
        NvmeDriver.Check(driver.Identify(1), "identify");
    }

    private static int RunSession(VfioClient client, Random random, SafeFileHandle[] handles)
    {
        int sent = 0;
        var batch = new List<byte>();
        try
        {
            if (random.Next(20) > 0)
            {
                client.SendRaw(MessageOf(1, 1, 0, VersionOf(PciDevice.QemuCapabilities)));
            }

            for (; sent < MessagesASession && !client.HasEnded; sent++)
            {
                ushort command = Commands[random.Next(Commands.Length)];
                byte[] payload = PayloadOf(command, random);
                uint flags = random.Next(3) == 0 ? 0x10u : random.Next(500) == 0 ? (uint)random.Next(64) : 0;
                byte[] message = MessageOf(command, (ushort)random.Next(ushort.MaxValue), flags, payload);
                if (random.Next(800) == 0)
                {
                    BitConverter.TryWriteBytes(message.AsSpan(4), random.Next(-1, 10_000));
                }

                int count = command is 2 or 8 ? random.Next(8) switch { 0 => 0, 1 => random.Next(17), _ => 1 }
                    : random.Next(50) == 0 ? 2 : 0;
                if (count > 0)
                {
                    Flush(client, batch);
                    client.SendRaw(message, [.. Enumerable.Range(0, count).Select(_ => handles[random.Next(handles.Length)])]);
                    continue;
                }

                batch.AddRange(message);
                if (random.Next(AverageBatch) == 0)
                {
                    Flush(client, batch);
                }
            }

            Flush(client, batch);
            client.EndSending();
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // the server has disconnected
        }

        return sent;
    }

    // a message at a time would be the time of two processors' wake-ups
    private static void Flush(VfioClient client, List<byte> batch)
    {
        client.SendRaw(CollectionsMarshal.AsSpan(batch));
        batch.Clear();
    }

    private static byte[] PayloadOf(ushort command, Random random)
    {
        byte[] payload = command switch
        {
            1 => VersionOf(random.Next(2) == 0 ? "{\"capabilities\":{\"max_msg_fds\":" : PciDevice.QemuCapabilities),
            2 => PciDevice.PayloadOf(new DmaMap(
                (DmaFlags)random.Next(1, 4), (ulong)random.Next(4) * 4096, (ulong)random.Next(64) << 16, (ulong)random.Next(1, 64) << 12)),
            3 => PciDevice.PayloadOf(random.Next(3) == 0 ? new DmaUnmap(UnmapFlags.All, 0, 0)
                : new DmaUnmap(UnmapFlags.None, (ulong)random.Next(64) << 16, (ulong)random.Next(1, 64) << 12)),
            4 => Words(random, 16, 0, 0, 0),
            5 => Words(random, (uint)random.Next(30, 70), 0, (uint)random.Next(10), 0, 0, 0, 0, 0),
            7 => Words(random, 16, 0, (uint)random.Next(6), 0),
            8 => Words(
                random, 20, random.Next(4) == 0 ? (uint)random.Next(64) : random.Next(2) == 0 ? 0x24u : 0x21u, (uint)random.Next(4),
                (uint)random.Next(18), (uint)random.Next(3)),
            9 => Access(random, 0, out _),
            10 => Write(random),
            13 => [],
            15 => Many(random),
            _ => new byte[random.Next(64)],
        };
        if (payload.Length > 0 && random.Next(40) == 0)
        {
            payload[random.Next(payload.Length)] ^= (byte)(1 << random.Next(8));
        }

        return random.Next(100) == 0 ? payload[..random.Next(payload.Length + 1)] : payload;
    }

    // registers, doorbells and configuration space; admin queues in mapped memory, and doorbells that run what is there
    private static byte[] Access(Random random, int data, out int count)
    {
        bool isBar = random.Next(3) > 0;
        count = random.Next(8) == 0 ? random.Next(1, 64) : random.Next(4) == 0 ? 8 : 4;
        int offset = !isBar ? random.Next(4096 - count) : random.Next(3) == 0 ? random.Next(0x4000 - count) & ~3
            : random.Next(2) == 0 ? 0x1000 + (4 * random.Next(12)) : 4 * random.Next(16);
        byte[] payload = new byte[RegionAccess.Size + (data * count)];
        new RegionAccess((ulong)offset, isBar ? 0u : 7u, (uint)count).WriteTo(payload);
        return payload;
    }

    private static byte[] Write(Random random)
    {
        (uint Region, uint Offset, uint Value)[] usual =
        [
            (7, 4, 6), (0, 0x24, 0x1F001F), (0, 0x28, (uint)random.Next(64) << 12), (0, 0x2C, 0), (0, 0x30, (uint)random.Next(64) << 12),
            (0, 0x34, 0), (0, 0x14, 0x460001), (0, 0x14, 0), (0, 0x1000, (uint)random.Next(34)), (0, 0x1008, (uint)random.Next(64)),
            (0, 0x1004, (uint)random.Next(34)), (7, 0x68, 0x8000), (7, 0x52, 0x8000),
        ];
        if (random.Next(3) > 0)
        {
            var (region, offset, value) = usual[random.Next(usual.Length)];
            return PciDevice.PayloadOf(region, offset, BitConverter.GetBytes(value));
        }

        byte[] payload = Access(random, 1, out int count);
        random.NextBytes(payload.AsSpan(RegionAccess.Size, count));
        return payload;
    }

    private static byte[] Many(Random random)
    {
        int count = random.Next(20);
        byte[] payload = new byte[RegionWrites.Size + (count * RegionWrites.EntrySize)];
        RegionWrites.WriteCount(payload, random.Next(30) == 0 ? count + 1 : count);
        for (int i = 0; i < count; i++)
        {
            byte[] one = Write(random);
            int at = RegionWrites.Size + (i * RegionWrites.EntrySize);
            one.AsSpan(0, Math.Min(one.Length, RegionWrites.EntrySize)).CopyTo(payload.AsSpan(at));
        }

        return payload;
    }

    private static byte[] Words(Random random, params uint[] words)
    {
        byte[] bytes = new byte[words.Length * sizeof(uint)];
        Buffer.BlockCopy(words, 0, bytes, 0, bytes.Length);
        return random.Next(60) == 0 ? [.. bytes, 0] : bytes;
    }

    private static byte[] VersionOf(string json) => [0, 0, 0, 0, .. Encoding.UTF8.GetBytes(json), 0];

    private static byte[] MessageOf(ushort command, ushort id, uint flags, byte[] payload)
    {
        byte[] message = new byte[MessageHeader.Size + payload.Length];
        new MessageHeader(id, (Command)command, (uint)message.Length, (HeaderFlags)flags).WriteTo(message);
        payload.CopyTo(message, MessageHeader.Size);
        return message;
    }

    private static void Settle(Bench bench)
    {
        Assert.True(SpinWait.SpinUntil(() => bench.Server.Connections == 0, TimeSpan.FromSeconds(30)));
    }

    private static int Descriptors() => Directory.GetFiles("/proc/self/fd").Length;
}
