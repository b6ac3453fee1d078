using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Serving;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Parsing of PDUs, without a socket.</summary>
public class PduReaderTests
{
    private readonly SlabPool _pool = new();
    private readonly Recorder _received = new();
    private readonly PduReader _reader;

    public PduReaderTests() => _reader = NewReader(_received);

    [Theory]
    [InlineData(1)]
    [InlineData(20261128)]
    public void Parsing_does_not_depend_on_how_the_stream_is_split(int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (int round = 0; round < 100; round++)
        {
            bool digest = random.Next(2) == 0;
            var (stream, commands, data) = Stream(random, digest);
            var split = new Recorder(data.Length);
            var reader = NewReader(split);
            for (int at = 0; at < stream.Length;)
            {
                int count = Math.Min(random.Next(3) == 0 ? random.Next(1, 9) : random.Next(1, 100_000), stream.Length - at);
                at += Feed(reader, stream.AsSpan(at, count));
            }

            Assert.Equal(commands, split.Commands.Select(c => c.Id));
            Assert.All(split.Commands, c => Assert.All(c.Data.ToArray(), b => Assert.Equal((byte)c.Id, b)));
            Assert.Equal(1, split.Completed);
            Assert.False(split.Transfer.IsBroken);
            Assert.True(data.AsSpan().SequenceEqual(split.Transfer.Data.Span), $"seed {seed}, round {round}");
            split.Release();
        }
    }

    [Fact]
    public void Long_data_is_received_into_its_command_without_a_copy()
    {
        const int length = 1 << 17;
        var received = new Recorder(length);
        var reader = NewReader(received);
        Feed(reader, Initialize(0));
        Feed(reader, DataHeader(0, length, digest: false));
        var target = reader.NextTarget(out bool isDirect);
        Assert.True(isDirect);
        Assert.True(target.Equals(received.Transfer.Data));
        reader.Receive(length - 100, isDirect: true);
        reader.NextTarget(out isDirect);
        Assert.False(isDirect);
    }

    [Fact]
    public void Data_held_by_a_command_is_not_overwritten_by_later_PDUs()
    {
        Feed(_reader, Initialize(0));
        for (ushort id = 0; id < 200; id++)
        {
            byte[] data = new byte[8192];
            data.AsSpan().Fill((byte)id);
            Feed(_reader, RawHost.Capsule(new SubmissionEntry { CommandId = id, Opcode = Opcode.Write }, data));
        }

        Assert.All(_received.Commands, c => Assert.All(c.Data.ToArray(), b => Assert.Equal((byte)c.Id, b)));
        Assert.True(_pool.Lent > 200 * 8192);
        _received.Release();
        Assert.InRange(_pool.Lent, 1, 2 * SlabPool.StandardSize);
    }

    [Fact]
    public void Damaged_capsule_data_is_reported_with_its_command()
    {
        Feed(_reader, Initialize(InitializePdu.DataDigestBit));
        byte[] capsule = RawHost.DigestedCapsule(new SubmissionEntry { CommandId = 1, Opcode = Opcode.Write }, new byte[64]);
        Feed(_reader, capsule);
        capsule[80] ^= 1;
        Feed(_reader, capsule);
        Assert.Equal([false, true], _received.Commands.Select(c => c.IsDamaged));
    }

    [Fact]
    public void Damaged_part_of_a_transfer_marks_the_command_and_good_parts_do_not_clear_it()
    {
        var received = new Recorder(1024);
        var reader = NewReader(received);
        Feed(reader, Initialize(InitializePdu.DataDigestBit));
        byte[] pdu = Data(new byte[512], offset: 0, last: false, digest: true);
        pdu[30] ^= 1;
        Feed(reader, pdu);
        Assert.True(received.Transfer.IsBroken);
        Feed(reader, Data(new byte[512], offset: 512, last: true, digest: true));
        Assert.True(received.Transfer.IsBroken);
        Assert.Equal(1, received.Completed);
    }

    [Fact]
    public void Terminate_request_of_the_host_ends_the_stream()
    {
        Feed(_reader, Initialize(0));
        byte[] pdu = new byte[PduHeader.MaxTerminate];
        int length = new TerminatePdu(FatalError.DataLimit, 0).WriteTo(pdu, PduType.HostTerminate, []);
        Assert.Contains("DataLimit", Assert.Throws<HostTerminatedException>(() => Feed(_reader, pdu.AsSpan(0, length).ToArray())).Message);
    }

    [Fact]
    public void Pdu_at_fault_can_be_peeked()
    {
        Feed(_reader, Initialize(0));
        byte[] second = Initialize(0);
        Assert.Equal(FatalError.Sequence, Assert.Throws<PduException>(() => Feed(_reader, second)).Error);
        Assert.Equal(second, _reader.Peek(128).ToArray());
        Assert.Equal(8, _reader.Peek(8).Length);
        Assert.Equal(1, _reader.Pdus);
    }

    [Fact]
    public void Reader_fails_when_the_server_has_no_memory_for_another_slab()
    {
        var received = new Recorder();
        var pool = new SlabPool(SlabPool.StandardSize);
        var reader = new PduReader(new PduBuffer(pool, pool.Rent()), received, new NvmeTargetOptions());
        Feed(reader, Initialize(0));
        byte[] capsule = RawHost.Capsule(new SubmissionEntry { Opcode = Opcode.Write }, new byte[8192]);
        Assert.Equal(FatalError.DataLimit, Assert.Throws<PduException>(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                Feed(reader, capsule);
            }
        }).Error);
        received.Release();
    }

    private PduReader NewReader(Recorder received) => new(new PduBuffer(_pool, _pool.Rent()), received, new NvmeTargetOptions());

    private static int Feed(PduReader reader, ReadOnlySpan<byte> bytes)
    {
        for (int at = 0; at < bytes.Length;)
        {
            var target = reader.NextTarget(out bool isDirect);
            int count = Math.Min(target.Length, bytes.Length - at);
            bytes.Slice(at, count).CopyTo(target.Span);
            reader.Receive(count, isDirect);
            at += count;
            while (reader.Step())
            {
            }
        }

        return bytes.Length;
    }

    // initialize, commands with data, and among them one transfer in several data PDUs
    private static (byte[] Bytes, List<ushort> Commands, byte[] Data) Stream(Random random, bool digest)
    {
        var bytes = new List<byte>(Initialize(digest ? InitializePdu.DataDigestBit : (byte)0));
        var commands = new List<ushort>();
        byte[] data = new byte[random.Next(1, 200_000)];
        random.NextBytes(data);
        for (int sent = 0; sent < data.Length || commands.Count < 5;)
        {
            if (sent < data.Length && random.Next(2) == 0)
            {
                int count = Math.Min(random.Next(1, 150_000), data.Length - sent);
                bytes.AddRange(Data(data.AsSpan(sent, count), sent, sent + count == data.Length, digest));
                sent += count;
            }
            else
            {
                ushort id = (ushort)commands.Count;
                byte[] own = new byte[random.Next(1, 8000)];
                own.AsSpan().Fill((byte)id);
                var entry = new SubmissionEntry { CommandId = id, Opcode = Opcode.Write };
                bytes.AddRange(digest ? RawHost.DigestedCapsule(entry, own) : RawHost.Capsule(entry, own));
                commands.Add(id);
            }
        }

        return ([.. bytes], commands, data);
    }

    private static byte[] Initialize(byte digests)
    {
        byte[] pdu = new byte[PduHeader.InitializeSize];
        new InitializePdu(0, 0, digests, 0).WriteTo(pdu, PduType.InitializeRequest);
        return pdu;
    }

    private static byte[] DataHeader(int offset, int length, bool digest, bool last = true)
    {
        byte[] pdu = new byte[PduHeader.ShortSize];
        var flags = (last ? PduFlags.Last : 0) | (digest ? PduFlags.DataDigest : 0);
        new DataPdu(Recorder.TransferId, Recorder.Tag, (uint)offset, (uint)length).WriteTo(
            pdu, new PduHeader(PduType.HostData, flags, 24, 24, (uint)(24 + length + (digest ? 4 : 0))));
        return pdu;
    }

    private static byte[] Data(ReadOnlySpan<byte> data, int offset, bool last, bool digest)
    {
        byte[] check = new byte[digest ? 4 : 0];
        if (digest)
        {
            Block.Crc32C.Write(data, check);
        }

        return [.. DataHeader(offset, data.Length, digest, last), .. data, .. check];
    }

    private sealed class Recorder : IPduReceiver
    {
        public const ushort Tag = 3, TransferId = 103;
        private readonly List<Slab> _held = [];

        public Recorder(int transfer = 0)
        {
            Transfer = new QueueDouble().Command(Tag);
            Transfer.Data = new byte[transfer];
        }

        public List<(ushort Id, Memory<byte> Data, bool IsDamaged)> Commands { get; } = [];

        public TcpCommand Transfer { get; }

        public int Completed { get; private set; }

        public void Initialize(in InitializePdu response, in PduRules rules)
            => Assert.Equal((response.HeaderDigest, response.DataDigest), (rules.HeaderDigest, rules.DataDigest));

        public void TakeCommand(in SubmissionEntry entry, Slab buffer, Memory<byte> data, bool isDamaged)
        {
            buffer.Hold();
            _held.Add(buffer);
            Commands.Add((entry.CommandId, data, isDamaged));
        }

        public TcpCommand? FindTransfer(ushort tag) => tag == Tag ? Transfer : null;

        public void CompleteTransfer(TcpCommand command)
        {
            Assert.Same(Transfer, command);
            Completed++;
        }

        public void Release() => _held.ForEach(s => s.Release());
    }
}
