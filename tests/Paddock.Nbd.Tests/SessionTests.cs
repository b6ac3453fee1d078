using System.Net;
using System.Net.Sockets;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>Requests and replies of one client, most of them compared byte by byte.</summary>
public class SessionTests
{
    [Fact]
    public async Task Simple_read_returns_the_written_bytes()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake();
        client.Send([.. RawClient.Compact(NbdCommand.Write, 1, 4096, 4), 1, 2, 3, 4]);
        Assert.Equal("67446698" + "00000000" + "0000000000000001", Convert.ToHexString(client.Take(16)));
        client.Ask(NbdCommand.Read, 2, 4094, 8);
        Assert.Equal("67446698" + "00000000" + "0000000000000002" + "0000010203040000", Convert.ToHexString(client.Take(24)));
    }

    [Fact]
    public async Task Structured_read_is_one_chunk()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured);
        client.Send([.. RawClient.Compact(NbdCommand.Write, 1, 512, 2), 7, 8]);
        client.Simple();
        client.Ask(NbdCommand.Read, 3, 512, 2, CommandFlags.DontFragment);
        Assert.Equal("668E33EF" + "0001" + "0001" + "0000000000000003" + "0000000A" + "0000000000000200"
            + "0708", Convert.ToHexString(client.Take(30)));
    }

    [Fact]
    public async Task Extended_read_carries_the_offset_in_header_and_chunk()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Extended);
        byte[] request = new byte[ExtendedRequest.Size];
        ExtendedRequest.Write(request, new NbdRequest(CommandFlags.PayloadLength, NbdCommand.Write, 9, 512, 2));
        client.Send([.. request, 7, 8]);
        Assert.Equal("6E8A278C" + "0001" + "0000" + "0000000000000009" + "0000000000000200"
            + "0000000000000000", Convert.ToHexString(client.Take(32)));
        ExtendedRequest.Write(request, new NbdRequest(0, NbdCommand.Read, 10, 512, 2));
        client.Send(request);
        string head = "6E8A278C" + "0001" + "0001" + "000000000000000A" + "0000000000000200" + "000000000000000A";
        Assert.Equal(head + "0000000000000200" + "0708", Convert.ToHexString(client.Take(42)));
    }

    [Theory]
    [InlineData(0, 1 << 20, 1u, 0, 22u)]
    [InlineData(0, 0, 33554433u, 0, 22u)]
    [InlineData(4, 1 << 20, 512u, 0, 22u)]
    [InlineData(6, 1 << 20, 512u, 0, 28u)]
    [InlineData(6, 0, 512u, 16, 95u)]
    [InlineData(7, 0, 512u, 0, 22u)]
    [InlineData(8, 0, 512u, 0, 22u)]
    [InlineData(55, 0, 0u, 0, 22u)]
    [InlineData(0, 0, 512u, 4, 22u)]
    [InlineData(0, 0, 512u, 128, 22u)]
    public async Task Rejected_request_leaves_the_connection_open(ushort command, long offset, uint length, ushort flags, uint error)
    {
        var device = new TestDevice(1 << 20)
        {
            Around = static (request, run) => (request.Zero & ZeroFlags.NoFallback) != 0
                ? throw new BlockException(BlockError.NotSupported, "zeroes would have to be written") : run(),
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        client.Ask((NbdCommand)command, 5, (ulong)offset, length, (CommandFlags)flags);
        Assert.Equal(new SimpleReply((NbdError)error, 5), client.Simple());
        client.Ask(NbdCommand.Flush, 6, 0, 0);
        Assert.Equal(new SimpleReply(NbdError.None, 6), client.Simple());
    }

    [Fact]
    public async Task Payload_of_a_write_beyond_the_end_is_skipped()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake();
        foreach (int length in new[] { 1024, 200_000 })
        {
            byte[] payload = new byte[length];
            payload.AsSpan().Fill(0x25);
            client.Send([.. RawClient.Compact(NbdCommand.Write, 1, (1 << 20) - 512, (uint)length), .. payload]);
            Assert.Equal(NbdError.NoSpace, client.Simple().Error);
        }

        client.Ask(NbdCommand.Read, 2, 0, 512);
        Assert.Equal(NbdError.None, client.Simple().Error);
    }

    [Fact]
    public async Task Read_only_export_reports_itself_and_rejects_changes()
    {
        await using var bench = new Bench(null, new NbdExport { Name = "", Device = Bench.Disk().Device, ReadOnly = true });
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured);
        client.Send([.. RawClient.Compact(NbdCommand.Write, 1, 0, 1), 1]);
        var (head, payload) = client.Chunk();
        Assert.Equal((ChunkType.Error, true), (head.Type, head.IsLast));
        Assert.Equal(new ErrorPayload(NbdError.NotPermitted, "the export is read-only"), ErrorPayload.Parse(payload));
    }

    [Fact]
    public async Task Flags_reach_the_device()
    {
        var device = new TestDevice(1 << 20) { Records = true };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        client.Send([.. RawClient.Compact(NbdCommand.Write, 1, 0, 1, CommandFlags.Fua), 1]);
        client.Simple();
        foreach (var (command, flags) in new[]
        {
            (NbdCommand.WriteZeroes, CommandFlags.None), (NbdCommand.WriteZeroes, CommandFlags.NoHole | CommandFlags.Fua),
            (NbdCommand.Trim, CommandFlags.Fua), (NbdCommand.Cache, CommandFlags.None), (NbdCommand.Flush, CommandFlags.None),
        })
        {
            client.Ask(command, 2, 0, command == NbdCommand.Flush ? 0u : 4096u, flags);
            Assert.Equal(NbdError.None, client.Simple().Error);
        }

        Assert.Equal(
            ["write 0 1 Fua", "zero 0 4096 MayUnmap", "zero 0 4096 Fua", "discard 0 4096", "flush", "read 0 4096", "flush"],
            device.Asked());
    }

    [Fact]
    public async Task Every_request_of_a_batch_in_one_packet_is_answered()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake();
        var batch = new List<byte>();
        for (uint i = 0; i < 200; i++)
        {
            batch.AddRange(RawClient.Compact(NbdCommand.Write, i, i * 4096, 4096));
            batch.AddRange(Enumerable.Repeat((byte)i, 4096));
        }

        client.Send([.. batch]);
        Assert.Equal(200, Enumerable.Range(0, 200).Select(_ => client.Simple().Cookie).Distinct().Count());
        client.Ask(NbdCommand.Read, 1, 0, 200 * 4096);
        client.Simple();
        byte[] all = client.Take(200 * 4096);
        Assert.All(Enumerable.Range(0, 200), i => Assert.Equal((byte)i, all[(i * 4096) + 4095]));
    }

    [Fact]
    public async Task Long_requests_transfer_all_their_data()
    {
        await using var bench = Bench.Of(Bench.Disk(64 << 20).Device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured);
        byte[] data = new byte[NbdLimits.MaxPayload];
        new Random(5).NextBytes(data);
        client.Send([.. RawClient.Compact(NbdCommand.Write, 1, 12345, (uint)data.Length), .. data]);
        Assert.Equal(NbdError.None, client.Simple().Error);
        client.Ask(NbdCommand.Read, 2, 12345, (uint)data.Length);
        byte[] got = new byte[data.Length];
        bool last = false;
        for (int covered = 0; !last;)
        {
            var (head, payload) = client.Chunk();
            Assert.Equal(ChunkType.OffsetData, head.Type);
            int at = (int)(ReadPayload.ParseOffset(payload) - 12345);
            payload.AsSpan(ReadPayload.DataHead).CopyTo(got.AsSpan(at));
            covered += payload.Length - ReadPayload.DataHead;
            last = head.IsLast;
            Assert.True(!last || covered == data.Length);
        }

        Assert.True(data.AsSpan().SequenceEqual(got));
    }

    [Fact]
    public async Task Long_read_of_a_hole_is_answered_as_a_hole()
    {
        await using var bench = Bench.Of(Bench.Disk().Device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured);
        client.Ask(NbdCommand.Read, 1, 65536, 524288);
        var (head, payload) = client.Chunk();
        Assert.Equal((ChunkType.OffsetHole, (65536UL, 524288u)), (head.Type, ReadPayload.ParseHole(payload)));
    }

    [Fact]
    public async Task Block_status_merges_extents_and_REQ_ONE_returns_one()
    {
        var device = new TestDevice(1 << 20)
        {
            Status = (offset, length) => new BlockStatus(
                Math.Min(length, 65536 - (offset % 65536)),
                BlockStatusFlags.Allocated | (offset / 65536 is 0 or 1 ? BlockStatusFlags.Data : BlockStatusFlags.Zero)),
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured, "", "base:allocation");
        client.Ask(NbdCommand.BlockStatus, 1, 4096, 262144);
        Assert.Equal("00000000" + "0001F000" + "00000000" + "00021000" + "00000003", Convert.ToHexString(client.Chunk().Payload));
        client.Ask(NbdCommand.BlockStatus, 2, 0, 262144, CommandFlags.RequestOne);
        Assert.Equal("00000000" + "00020000" + "00000000", Convert.ToHexString(client.Chunk().Payload));
    }

    [Theory]
    [InlineData(HeaderForm.Structured, 12)]
    [InlineData(HeaderForm.Extended, 12)]
    public async Task Block_status_of_many_fragmented_bitmaps_fits_into_one_reply(object form, int count)
    {
        const int size = 16 << 20;
        string[] names = [.. Enumerable.Range(0, count).Select(i => $"b{i}")];
        await using var bench = new Bench(
            null, new NbdExport { Name = "", Device = Bench.Disk(size).Device, Bitmaps = [.. names.Select(n => new Stripes(n, size))] });
        using var client = bench.Connect();
        client.Handshake((HeaderForm)form, contexts: [.. names.Select(n => "qemu:dirty-bitmap:" + n)]);
        bool extended = (HeaderForm)form == HeaderForm.Extended;
        byte[] request = new byte[extended ? ExtendedRequest.Size : CompactRequest.Size];
        if (extended)
        {
            ExtendedRequest.Write(request, new NbdRequest(0, NbdCommand.BlockStatus, 1, 0, size));
        }
        else
        {
            request = RawClient.Compact(NbdCommand.BlockStatus, 1, 0, size);
        }

        client.Send(request);
        for (int i = 0; i < count; i++)
        {
            var (head, payload) = extended ? client.ExtendedChunk() : client.Chunk();
            Assert.False(head.IsError);
            Assert.Equal(i == count - 1, head.IsLast);
            Assert.Equal(((uint)i + 2, new BlockStatusExtent(512, 0)), BlockStatusExtent.ParseRun(payload, extended));
            Assert.True(payload.Length > 8192);
        }
    }

    [Fact]
    public async Task Allocation_depth_is_reported_if_negotiated()
    {
        var below = new TestDevice(
            131072) { Status = (_, length) => new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated) };
        var top = new TestDevice(1 << 20, backing: below)
        {
            Status = (offset, length) => offset < 65536
                ? new BlockStatus(Math.Min(length, 65536 - offset), BlockStatusFlags.Data | BlockStatusFlags.Allocated)
                : new BlockStatus(length, 0),
        };
        await using var bench = new Bench(null, new NbdExport { Name = "", Device = top, AllocationDepth = true });
        using var client = bench.Connect();
        client.Handshake(HeaderForm.Structured, "", "base:allocation", "qemu:allocation-depth");
        client.Ask(NbdCommand.BlockStatus, 1, 0, 262144);
        var (first, allocation) = client.Chunk();
        var (second, depth) = client.Chunk();
        Assert.Equal((false, true), (first.IsLast, second.IsLast));
        Assert.Equal("00000000" + "00020000" + "00000000" + "00020000" + "00000003", Convert.ToHexString(allocation));
        Assert.Equal("00000001" + "00010000" + "00000001" + "00010000" + "00000002" + "00020000" + "00000000", Convert.ToHexString(depth));
    }

    [Fact]
    public async Task Waiting_request_blocks_no_other()
    {
        var hold = new TaskCompletionSource();
        var device = new TestDevice(1 << 20)
        {
            Around = async (request, run) =>
            {
                await (request.Offset == 0 || request.Call == DeviceCall.Write ? hold.Task : Task.CompletedTask);
                await run();
            },
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        client.Ask(NbdCommand.Read, 1, 0, 512);
        client.Ask(NbdCommand.Read, 2, 512, 512);
        Assert.Equal(2UL, client.Simple().Cookie);
        client.Take(512);
        hold.SetResult();
        Assert.Equal(1UL, client.Simple().Cookie);
        client.Take(512);
    }

    [Fact]
    public async Task Requests_that_block_on_the_disk_run_in_parallel()
    {
        int atWork = 0, most = 0;
        var device = new TestDevice(1 << 20)
        {
            // reads block their thread, as those of an uncached file do
            Reads = (_, buffer) =>
            {
                int now = Interlocked.Increment(ref atWork);
                for (int seen = most; now > seen; seen = most)
                {
                    Interlocked.CompareExchange(ref most, now, seen);
                }

                using (var never = new ManualResetEventSlim())
                {
                    never.Wait(2);
                }

                Interlocked.Decrement(ref atWork);
                buffer.Span.Clear();
                return default;
            },
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        for (uint i = 0; i < 200; i++)
        {
            client.Ask(NbdCommand.Read, i, 0, 4096);
        }

        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(NbdError.None, client.Simple().Error);
            client.Take(4096);
        }

        Assert.InRange(most, 2, 200);
    }

    [Fact]
    public async Task Payload_of_a_waiting_write_is_not_overwritten()
    {
        var hold = new TaskCompletionSource();
        var device = new TestDevice(1 << 20)
        {
            Around = async (request, run) =>
            {
                await (request.Offset == 0 || request.Call == DeviceCall.Write ? hold.Task : Task.CompletedTask);
                await run();
            },
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake();
        for (uint i = 0; i < 150; i++)
        {
            client.Send([.. RawClient.Compact(NbdCommand.Write, i, i * 4096, 4096), .. Enumerable.Repeat((byte)(i + 1), 4096)]);
        }

        hold.SetResult();
        for (int i = 0; i < 150; i++)
        {
            Assert.Equal(NbdError.None, client.Simple().Error);
        }

        client.Ask(NbdCommand.Read, 1, 0, 150 * 4096);
        client.Simple();
        byte[] all = client.Take(150 * 4096);
        Assert.All(Enumerable.Range(0, 150), i => Assert.Equal(((byte)(i + 1), (byte)(i + 1)), (all[i * 4096], all[(i * 4096) + 4095])));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Device_exception_fails_only_its_request(bool structured)
    {
        var device = new TestDevice(1 << 20)
        {
            Around = static (_, _) => ValueTask.FromException(new InvalidOperationException("a fault of the device")),
            Status = (_, length) => new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated),
        };
        await using var bench = Bench.Of(device);
        using var client = bench.Connect();
        client.Handshake(structured ? HeaderForm.Structured : HeaderForm.Simple);
        foreach (uint length in new[] { 512u, 262144u })
        {
            client.Ask(NbdCommand.Read, 1, 512, length);
            if (!structured)
            {
                Assert.Equal(NbdError.Io, client.Simple().Error);
            }
            else
            {
                Assert.Equal(new ErrorPayload(NbdError.Io, "a fault of the device"), ErrorPayload.Parse(client.Chunk().Payload));
            }
        }

        device.Around = null;
        client.Send([.. RawClient.Compact(NbdCommand.Write, 2, 0, 1), 1]);
        Assert.Equal(NbdError.None, client.Simple().Error);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Small_request_allocates_nothing(int form)
    {
        const int Windows = 5, Rounds = 150, Batch = 64;
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(listener.LocalEndPoint!);
        var channel = new CountingChannel(new SocketChannel(listener.Accept()));
        using var session = Sessions.Over(channel, new SlabPool(), (HeaderForm)form, Bench.Disk().Device, alwaysHere: true);
        var thread = new Thread(session.Run);
        thread.Start();
        bool extended = form == 2;
        int size = extended ? ExtendedRequest.Size : CompactRequest.Size, done = extended ? ExtendedReply.Size : SimpleReply.Size;
        int read = form switch { 0 => SimpleReply.Size, 1 => StructuredReply.Size + ReadPayload.DataHead, _ => ExtendedReply.Size
            + ReadPayload.DataHead };
        byte[] requests = new byte[(Batch * size) + (Batch / 2 * 4096)], replies = new byte[Batch / 2 * (done + read + 4096)];
        for (int i = 0, at = 0; i < Batch; i++)
        {
            var request = new NbdRequest(0, i % 2 == 0 ? NbdCommand.Read : NbdCommand.Write, (ulong)i, (ulong)i * 4096, 4096);
            if (extended)
            {
                ExtendedRequest.Write(requests.AsSpan(at), request);
            }
            else
            {
                CompactRequest.Write(requests.AsSpan(at), request);
            }

            at += size + (i % 2 == 0 ? 0 : 4096);
        }

        // One-time allocations can fall into any window, such as a lock's wait event (56 bytes) at its first contention.
        // An allocation per request or per batch is in every window.
        long least = long.MaxValue;
        for (int window = -1; window < Windows && least > 0; window++)
        {
            long before = channel.Allocated;
            for (int round = 0; round < Rounds; round++)
            {
                client.Send(requests);
                for (int at = 0; at < replies.Length;)
                {
                    at += client.Receive(replies.AsSpan(at));
                }
            }

            least = window < 0 ? least : Math.Min(least, channel.Allocated - before);
        }

        Assert.Equal(0, least);
        client.Shutdown(SocketShutdown.Both);
        thread.Join();
    }

    /// <summary>Records the allocations of the receiving thread.</summary>
    private sealed class CountingChannel(IByteChannel inner) : IByteChannel
    {
        private long _allocated;

        public long Allocated => Interlocked.Read(ref _allocated);

        public int Receive(Span<byte> into)
        {
            Interlocked.Exchange(ref _allocated, GC.GetAllocatedBytesForCurrentThread());
            return inner.Receive(into);
        }

        public bool IsPeerGone => inner.IsPeerGone;

        public bool Send(ReadOnlySpan<byte> data) => inner.Send(data);

        public void StopReceiving() => inner.StopReceiving();

        public void Abort() => inner.Abort();

        public void Dispose() => inner.Dispose();
    }

    [Fact]
    public void Image_that_is_owned_elsewhere_is_reported_as_a_server_that_shuts_down()
        => Assert.Equal(
            NbdError.Shutdown,
            Paddock.Nbd.Server.ReplyFormat.Map(new BlockException(BlockError.NotOwner, "on standby"), NbdCommand.Read));

    [Fact]
    public void File_size_limit_error_is_the_same_as_of_qemu_nbd()
    {
        var failure = new BlockException(BlockError.TooLarge, "File too large");
        Assert.Equal(NbdError.NoSpace, Paddock.Nbd.Server.ReplyFormat.Map(failure, NbdCommand.Write));
        Assert.Equal(NbdError.NoSpace, Paddock.Nbd.Server.ReplyFormat.Map(failure, NbdCommand.WriteZeroes));
        Assert.Equal(NbdError.Overflow, Paddock.Nbd.Server.ReplyFormat.Map(failure, NbdCommand.Read));
    }

    /// <summary>A bitmap in which every second sector has changed.</summary>
    private sealed class Stripes(string name, long length) : IDirtyBitmap
    {
        public string Name => name;

        public long Granularity => 512;

        public long Length => length;

        public DirtyRun Find(long offset, long length) => new(Math.Min(length, 512 - (offset % 512)), offset / 512 % 2 != 0);
    }
}
