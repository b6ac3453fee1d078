using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Paddock.Block;
using Paddock.Posix;
using Paddock.Testing;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Session;
using Paddock.VhostUser.Wire;

namespace Paddock.VhostUser.Tests;

/// <summary>
/// Random control messages without a socket, most of them nearly valid, with descriptors of every kind. PADDOCK_VHOST_FUZZ sets their
/// number (default 20,000), PADDOCK_VHOST_SEED the seed.
/// </summary>
[Collection(nameof(HostileTests))]
public class SessionFuzzTests
{
    private const ulong GuestAt = 0x10_0000;
    private const int MessagesASession = 200;
    private const int WarmRounds = 50;

    private static readonly FrontEndRequest[] Known = Enum.GetValues<FrontEndRequest>();

    [Fact]
    public void Session_survives_random_messages_without_a_leak()
    {
        long messages = Fuzzing.Number("PADDOCK_VHOST_FUZZ", 20_000);
        int seed = (int)Fuzzing.Number("PADDOCK_VHOST_SEED", 4);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {messages} messages");
        using var ram = new GuestRam(GuestAt, 1 << 20);
        using var pair = new SocketPair();
        using var events = EventDescriptor.Create();
        using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        SafeFileHandle[] handles = [ram.File, events.Handle, pair.Given, nothing];
        var device = new VirtioBlkDevice(CheckedDevice.Wrap(new TestDevice(1 << 20)), new VirtioBlkOptions { Queues = 2 });
        using var request = new Message();
        using var reply = new Message();
        long left = messages, refused = 0, answered = 0, memory = 0;
        int descriptors = 1 << 20;
        for (int round = 0; left > 0; round++)
        {
            var random = new Random(seed + round);
            using var session = new FrontEndSession(device, TimeSpan.Zero, _ => { });
            try
            {
                for (int i = 0; i < MessagesASession && left > 0; i++, left--)
                {
                    Fill(request, random, ram, handles, isFirst: i == 0);
                    if (session.Handle(request, reply))
                    {
                        answered++;
                        Assert.InRange(reply.Header.Length, 1, VhostUserLimits.MaxPayload);
                        reply.Clear();
                    }
                }
            }
            catch (IOException)
            {
                refused++;
                left--;
            }

            Assert.Empty(request.Descriptors);
            if (round == WarmRounds)
            {
                // the runtime's late descriptors are open by this round
                session.Dispose();
                descriptors = OpenDescriptors.Count;
            }

            if (round == 1000)
            {
                memory = GC.GetTotalMemory(forceFullCollection: true);
            }
        }

        Assert.True(refused > 0 && answered > 0);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{answered} replies, {refused} sessions refused, {OpenDescriptors.Count} descriptors");
        OpenDescriptors.AssertNoMoreThan(descriptors);
        if (memory > 0)
        {
            Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - memory, long.MinValue, 64L << 20);
        }
    }

    [Fact]
    public void Random_bytes_are_parsed_or_rejected_with_a_protocol_error()
    {
        long messages = Fuzzing.Number("PADDOCK_VHOST_FUZZ", 20_000);
        int seed = (int)Fuzzing.Number("PADDOCK_VHOST_SEED", 4);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {messages} structures");
        var random = new Random(seed);
        Action<byte[]>[] parsers =
        [
            b => MessageHeader.Parse(b.AsSpan(0, MessageHeader.Size)), b => U64Payload.Parse(b), b => VringDescriptor.Parse(b), b
                => VringState.Parse(b),
            b => VringAddress.Parse(b), b => MemoryTable.Parse(b), b => SingleRegion.Parse(b), b => ConfigAccess.Parse(b), b
                => InflightDescription.Parse(b),
        ];
        int[] lengths = [12, 8, 8, 8, 40, 72, 40, 20, 24];
        for (long i = 0; i < messages; i++)
        {
            int kind = random.Next(parsers.Length);
            byte[] bytes = new byte[random.Next(8) == 0 ? random.Next(12, 300) : lengths[kind]];
            random.NextBytes(bytes);
            if (random.Next(2) == 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)random.Next(10));
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), (uint)random.Next(10));
            }

            try
            {
                parsers[kind](bytes);
            }
            catch (VhostUserException e)
            {
                Assert.NotEmpty(e.Structure);
            }
        }
    }

    private static void Fill(Message message, Random random, GuestRam ram, SafeFileHandle[] handles, bool isFirst)
    {
        // without REPLY_ACK the first rejected request would end the session
        var request = isFirst && random.Next(16) != 0 ? FrontEndRequest.SetProtocolFeatures
            : random.Next(500) == 0 ? (FrontEndRequest)random.Next(60) : Known[random.Next(Known.Length)];
        if (request is FrontEndRequest.ResetDevice or FrontEndRequest.SetStatus or FrontEndRequest.SetConfig && random.Next(8) != 0)
        {
            request = FrontEndRequest.SetVringKick;
        }

        var flags = HeaderFlags.Version | (random.Next(100) == 0 ? 0 : HeaderFlags.NeedReply);
        var kinds = new List<SafeFileHandle>();
        byte[] payload = PayloadOf(request, random, ram, handles, kinds);
        if (random.Next(300) == 0)
        {
            payload = new byte[random.Next(VhostUserLimits.MaxPayload)];
            random.NextBytes(payload);
        }
        else if (payload.Length > 0 && random.Next(100) == 0)
        {
            payload[random.Next(payload.Length)] ^= (byte)(1 << random.Next(8));
        }

        payload.CopyTo(message.Begin((uint)request, flags, payload.Length));
        if (random.Next(300) == 0)
        {
            kinds.Add(handles[random.Next(handles.Length)]);
        }

        foreach (var kind in kinds)
        {
            message.Descriptors.Add(Duplicate(kind));
        }
    }

    // a duplicate, as a descriptor received over a socket is
    private static SafeFileHandle Duplicate(SafeFileHandle handle) => DescriptorSocket.Duplicate(handle);

    private static byte[] PayloadOf(
        FrontEndRequest request, Random random, GuestRam ram, SafeFileHandle[] handles, List<SafeFileHandle> kinds)
    {
        uint ring = (uint)random.Next(random.Next(500) == 0 ? 300 : 2);
        SafeFileHandle Mostly(int index) => handles[random.Next(40) == 0 ? random.Next(handles.Length) : index];
        ulong Address() => ram.User(GuestAt + ((ulong)random.Next(8) << 16)) + (random.Next(20) == 0 ? (ulong)random.NextInt64() : 0);
        byte[] bytes;
        switch (request)
        {
            case FrontEndRequest.SetFeatures:
                bytes = new byte[U64Payload.Size];
                ulong[] features = [0x1_4000_0000, 0x5_4000_0000, 0x5_7000_0000, 0x1_7000_0200, 0x1_0000_0000, 0];
                U64Payload.Write(bytes, random.Next(50) == 0 ? (ulong)random.NextInt64() : features[random.Next(features.Length)]);
                break;
            case FrontEndRequest.SetProtocolFeatures:
                bytes = new byte[U64Payload.Size];
                U64Payload.Write(bytes, random.Next(50) == 0 ? (ulong)random.NextInt64() : 0x1B229);
                break;
            case FrontEndRequest.SetStatus:
                bytes = new byte[U64Payload.Size];
                U64Payload.Write(bytes, (ulong)random.Next(257));
                break;
            case FrontEndRequest.SetVringKick or FrontEndRequest.SetVringCall or FrontEndRequest.SetVringError:
                bytes = new byte[U64Payload.Size];
                bool has = random.Next(8) != 0;
                new VringDescriptor((int)Math.Min(ring, 255), has).WriteTo(bytes);
                kinds.AddRange(has ? [Mostly(1)] : []);
                break;
            case FrontEndRequest.SetVringNum:
                bytes = State(ring, random.Next(50) == 0 ? (uint)random.Next() : 1u << random.Next(9));
                break;
            case FrontEndRequest.SetVringBase or FrontEndRequest.GetVringBase:
                bytes = State(ring, random.Next(4) == 0 ? (uint)random.Next() : 0x8000_8000);
                break;
            case FrontEndRequest.SetVringEnable:
                bytes = State(ring, (uint)random.Next(random.Next(100) == 0 ? 3 : 2));
                break;
            case FrontEndRequest.SetVringAddress:
                bytes = new byte[VringAddress.Size];
                new VringAddress(ring, 0, Address(), Address(), Address(), 0).WriteTo(bytes);
                break;
            case FrontEndRequest.SetMemoryTable:
                bytes = new byte[MemoryTable.SizeOf(1)];
                MemoryTable.Write(bytes, [RegionOf(random, ram)]);
                kinds.Add(Mostly(0));
                break;
            case FrontEndRequest.AddMemoryRegion or FrontEndRequest.RemoveMemoryRegion:
                bytes = new byte[SingleRegion.Size];
                SingleRegion.Write(bytes, RegionOf(random, ram));
                kinds.AddRange(request == FrontEndRequest.AddMemoryRegion ? [Mostly(0)] : []);
                break;
            case FrontEndRequest.GetConfig or FrontEndRequest.SetConfig:
                bytes = new byte[ConfigAccess.ContentsAt + random.Next(256)];
                new ConfigAccess(random.Next(20), bytes.Length - ConfigAccess.ContentsAt, 0).WriteTo(bytes);
                break;
            case FrontEndRequest.GetInflightDescriptor or FrontEndRequest.SetInflightDescriptor:
                bytes = new byte[random.Next(2) == 0 ? InflightDescription.Size : InflightDescription.PaddedSize];
                new InflightDescription(1 << 18, (ulong)random.Next(3) << 10, random.Next(1, 4), 1 << random.Next(8)).WriteTo(bytes);
                kinds.AddRange(request == FrontEndRequest.SetInflightDescriptor ? [Mostly(0)] : []);
                break;
            case FrontEndRequest.SetBackEndRequestDescriptor:
                bytes = [];
                kinds.Add(Mostly(2));
                break;
            default:
                bytes = [];
                break;
        }

        return bytes;
    }

    private static byte[] State(uint ring, uint number)
    {
        byte[] bytes = new byte[VringState.Size];
        new VringState(ring, number).WriteTo(bytes);
        return bytes;
    }

    private static RegionDescription RegionOf(Random random, GuestRam ram) => random.Next(10) switch
    {
        0 => ram.Description with { Length = (ulong)random.NextInt64() },
        1 => ram.Description with { FileOffset = (ulong)random.Next(1 << 20) },
        2 => new RegionDescription(
            (ulong)random.NextInt64(), (ulong)random.Next(1, 1 << 20), (ulong)random.NextInt64(), (ulong)random.Next(1 << 18)),
        _ => ram.Description,
    };
}
