using System.Buffers.Binary;
using Paddock.Nbd.Server;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>
/// Random messages without a socket. PADDOCK_NBD_FUZZ sets their number (default 200,000), PADDOCK_NBD_SEED the seed.
/// </summary>
[CollectionDefinition(nameof(FuzzTests), DisableParallelization = true)]
[Collection(nameof(FuzzTests))]
public class FuzzTests
{
    private static long Messages => Fuzzing.Number("PADDOCK_NBD_FUZZ", 200_000);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Session_answers_random_requests_in_constant_memory(int form)
    {
        int seed = (int)Fuzzing.Number("PADDOCK_NBD_SEED", 3) + form;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {Messages} messages");
        var pool = new SlabPool();
        long left = Messages / 3, before = 0, refused = 0;
        var device = Bench.Disk().Device;
        for (int round = 0; left > 0; round++)
        {
            // an invalid message ends its session; the next session uses the same memory
            var channel = new FuzzChannel(new Random(seed + (round * 1000)), (HeaderForm)form, Math.Min(left, 20_000));
            var session = Sessions.Over(channel, pool, (HeaderForm)form, device);
            await Task.Run(() =>
            {
                try
                {
                    session.Run();
                }
                catch (NbdProtocolException)
                {
                    refused++;
                }
                finally
                {
                    session.Dispose();
                }
            }, TestContext.Current.CancellationToken);
            left -= Math.Max(1, channel.Given);
            if (round == 20)
            {
                before = GC.GetTotalMemory(forceFullCollection: true);
            }
        }

        Assert.True(refused > 0);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 256L << 20);
    }

    [Fact]
    public void Random_bytes_are_parsed_or_rejected_with_a_protocol_error()
    {
        int seed = (int)Fuzzing.Number("PADDOCK_NBD_SEED", 3);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {Messages} messages");
        var random = new Random(seed);
        Action<byte[]>[] parsers =
        [
            b => InfoRequest.Parse(b), b => MetaContextRequest.Parse(b), b => MetaContextReply.Parse(b), b => ErrorPayload.Parse(b),
            b => BlockStatusExtent.ParseRun(b, extended: false), b => BlockStatusExtent.ParseRun(b, extended: true), b
                => ExportInfo.Parse(b),
            b => BlockSizeInfo.Parse(b), b => BlockStatusPayload.Parse(b), b => NbdString.Parse("text", b, out _), b
                => ReadPayload.ParseHole(b),
        ];
        for (long i = 0; i < Messages; i++)
        {
            byte[] bytes = new byte[random.Next(64)];
            random.NextBytes(bytes);
            if (bytes.Length >= 8 && random.Next(2) == 0)
            {
                BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(random.Next(2) * 4), (uint)random.Next(bytes.Length));
            }

            try
            {
                parsers[i % parsers.Length](bytes);
            }
            catch (NbdProtocolException e)
            {
                Assert.NotEmpty(e.Structure);
            }
        }
    }

    /// <summary>Supplies requests, some of them invalid, in pieces of random size; discards the replies.</summary>
    private sealed class FuzzChannel(Random random, HeaderForm form, long most) : IByteChannel
    {
        private readonly byte[] _message = new byte[100_000];
        private int _at;
        private int _end;

        public long Given { get; private set; }

        public int Receive(Span<byte> into)
        {
            int filled = 0, wanted = Math.Min(into.Length, random.Next(1, 60_000));
            while (filled < wanted)
            {
                if (_at == _end && !Next())
                {
                    break;
                }

                int count = Math.Min(wanted - filled, _end - _at);
                _message.AsSpan(_at, count).CopyTo(into[filled..]);
                _at += count;
                filled += count;
            }

            return filled;
        }

        public bool IsPeerGone => false;

        public bool Send(ReadOnlySpan<byte> data) => true;

        public void StopReceiving()
        {
        }

        public void Abort()
        {
        }

        public void Dispose()
        {
        }

        private bool Next()
        {
            if (Given == most)
            {
                return false;
            }

            Given++;
            bool extended = form == HeaderForm.Extended;
            var command = (NbdCommand)random.Next(10);
            command = command == NbdCommand.Disconnect ? NbdCommand.Flush : command;
            var flags = random.Next(4) == 0 ? (CommandFlags)random.Next(64) : CommandFlags.None;
            ulong length = (ulong)random.Next(1 << random.Next(1, command == NbdCommand.Write ? 17 : 21));
            if (command == NbdCommand.BlockStatus && extended && (flags & CommandFlags.PayloadLength) != 0)
            {
                length = 12;
            }
            else if (command != NbdCommand.Write)
            {
                flags &= ~CommandFlags.PayloadLength;
            }

            length = Math.Min(length, 99_000);
            var request = new NbdRequest(flags, command, (ulong)Given, (ulong)random.NextInt64(1 << random.Next(1, 22)), length);
            int head = extended ? ExtendedRequest.Size : CompactRequest.Size;
            if (extended)
            {
                ExtendedRequest.Write(_message, request);
            }
            else
            {
                CompactRequest.Write(_message, request);
            }

            bool hasPayload = command == NbdCommand.Write || (flags & CommandFlags.PayloadLength) != 0;
            (_at, _end) = (0, head + (hasPayload ? (int)length : 0));
            if (random.Next(5000) == 0)
            {
                _message[random.Next(head)] ^= (byte)(1 << random.Next(8));
            }

            return true;
        }
    }
}
