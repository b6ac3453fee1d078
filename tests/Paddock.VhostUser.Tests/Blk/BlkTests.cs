using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.VhostUser.Blk;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Guest requests to a disk without zones.</summary>
public class BlkTests
{
    private const byte Ok = 0, IoError = 1, Unsupported = 2;

    [Theory]
    [InlineData((int)RingFeatures.Indirect)]
    [InlineData((int)(RingFeatures.Indirect | RingFeatures.Packed))]
    [InlineData((int)RingFeatures.EventIndex)]
    [InlineData((int)RingFeatures.Packed)]
    public void Data_is_complete_however_a_request_is_segmented(int features)
    {
        var rig = new BlkRig(BlkRig.Plain(), (RingFeatures)features);
        byte[] data = new byte[512];
        var random = new Random(7);
        for (int cut = 1; cut < 16 + 512; cut++)
        {
            random.NextBytes(data);
            int[] cuts = [cut, cut % 7, cut % 31];
            ulong sector = (ulong)random.Next(2048);
            Assert.Equal((Ok, 1u), Of(rig.Run(RequestType.Out, sector, data, 0, cuts)));
            var answer = rig.Run(RequestType.In, sector, default, 512, cuts);
            Assert.Equal((Ok, 513u), Of(answer));
            Assert.Equal(data, answer.Data);
        }

        Assert.Equal((527, 527, 0),
            (rig.Device.Statistics[ServedOperation.Read], rig.Device.Statistics[ServedOperation.Write], rig.Device.Statistics.Errors));
        Assert.Equal(527 * 512, rig.Device.Statistics.BytesRead);
    }

    [Theory]
    [InlineData(12 << 20)]
    [InlineData(20 << 20)]
    public void Long_requests_in_many_segments_succeed(int size)
    {
        var rig = new BlkRig(BlkRig.Plain(32 << 20), memory: 128 << 20);
        byte[] data = new byte[size];
        new Random(8).NextBytes(data);
        int[] cuts = [.. Enumerable.Repeat((512 << 10) + 3, 40)];
        Assert.Equal(Ok, rig.Run(RequestType.Out, 3, data, 0, cuts).Status);
        var answer = rig.Run(RequestType.In, 3, default, size, cuts);
        Assert.Equal(Ok, answer.Status);
        Assert.True(answer.Data.AsSpan().SequenceEqual(data));
        Assert.Equal(0, rig.Device.Budget.Held);
        Assert.Equal(0, rig.Device.Buffers.Lent);
    }

    [Fact]
    public void Configuration_space_is_byte_exact()
    {
        var device = new VirtioBlkDevice(BlkRig.Plain(1 << 20), new VirtioBlkOptions { Queues = 4, Segments = 126 });
        byte[] expected = new byte[96];
        Put(expected, 0, 2048);
        Put(expected, 12, 126);
        Put(expected, 20, 512);
        expected[24] = 3;
        expected[26] = 8;
        expected[34] = 4;
        Put(expected, 36, 1 << 22);
        Put(expected, 40, 64);
        Put(expected, 44, 1);
        Put(expected, 48, 1 << 22);
        Put(expected, 52, 64);
        expected[56] = 1;
        byte[] config = new byte[96];
        device.ReadConfig(0, config);
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(config));
        byte[] part = new byte[8];
        device.ReadConfig(92, part);
        Assert.Equal(new byte[8], part);
        device.ReadConfig(20, part);
        Assert.Equal(expected[20..28], part);
        device.ReadConfig(-1, part);
        device.ReadConfig(int.MaxValue, part);
        Assert.Equal(new byte[8], part);
        device.ReadConfig(0, []);
    }

    [Fact]
    public async Task Configuration_space_reports_the_current_size()
    {
        var disk = BlkRig.Plain(1 << 20);
        var device = new VirtioBlkDevice(disk, new VirtioBlkOptions());
        byte[] config = new byte[8];
        await disk.ResizeAsync(3 << 20);
        device.ReadConfig(0, config);
        Assert.Equal(6144, BinaryPrimitives.ReadInt64LittleEndian(config));
    }

    [Fact]
    public void Features_match_the_capabilities_of_the_disk()
    {
        const ulong rings = (1UL << 28) | (1UL << 29) | (1UL << 32) | (1UL << 34);
        const ulong common = rings | (1 << 2) | (1 << 6) | (1 << 9) | (1 << 10);
        Assert.Equal(common | (1 << 13) | (1 << 14), new VirtioBlkDevice(BlkRig.Plain(), new VirtioBlkOptions()).Features);
        Assert.Equal(
            common | (1 << 5) | (1 << 12), new VirtioBlkDevice(BlkRig.Plain(readOnly: true), new VirtioBlkOptions { Queues = 2 }).Features);
    }

    [Fact]
    public void Request_out_of_range_or_with_a_partial_sector_fails()
    {
        var rig = new BlkRig(BlkRig.Plain(1 << 20));
        byte[] sector = new byte[512];
        Assert.Equal((IoError, 1u), Of(rig.Run(RequestType.Out, 2048, sector)));
        Assert.Equal((IoError, 0u), Of(rig.Run(RequestType.In, 2047, default, 1024)));
        Assert.Equal(IoError, rig.Run(RequestType.In, ulong.MaxValue, default, 512).Status);
        Assert.Equal(IoError, rig.Run(RequestType.In, 1UL << 55, default, 512).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Out, 0, new byte[511]).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Out, 0).Status);
        Assert.Equal(IoError, rig.Run(RequestType.In, 0).Status);
        Assert.Equal(Ok, rig.Run(RequestType.In, 2047, default, 512).Status);
        Assert.Equal((7, 0, 512), (rig.Device.Statistics.Errors, rig.Device.Statistics.BytesWritten, rig.Device.Statistics.BytesRead));
    }

    [Fact]
    public void Unknown_request_types_are_unsupported()
    {
        var rig = new BlkRig(BlkRig.Plain());
        uint[] types = [2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 27, 0x80000000, uint.MaxValue];
        Assert.All(types, t => Assert.Equal((Unsupported, 1u), Of(rig.Run((RequestType)t, 0, new byte[512]))));
    }

    [Fact]
    public void Request_without_room_for_a_header_or_status_is_completed()
    {
        var rig = new BlkRig(BlkRig.Plain());
        Assert.Equal(0u, rig.Wait(rig.Submit(0, 0, [], 0)).Written);
        Assert.Equal((IoError, 1u), Of(rig.Wait(rig.Submit(0, 0, [], 1, null, 15))));
        Assert.Equal((IoError, 1u), Of(rig.Wait(rig.Submit(4, 0, [], 1, null, 0))));
    }

    [Fact]
    public void Serial_number_is_truncated_to_the_buffer()
    {
        var rig = new BlkRig(BlkRig.Plain(), options: new VirtioBlkOptions { Serial = "0123456789abcdefghijKLM" });
        var answer = rig.Run(RequestType.GetId, 0, default, 20);
        Assert.Equal((Ok, 21u), Of(answer));
        Assert.Equal("0123456789abcdefghij"u8.ToArray(), answer.Data);
        Assert.Equal("01234"u8.ToArray(), rig.Run(RequestType.GetId, 0, default, 5).Data);
        answer = rig.Run(RequestType.GetId, 0, default, 22, [3]);
        Assert.Equal((Ok, 20u), Of(answer));
        Assert.Equal(0xEE, answer.Data[20]);
    }

    [Fact]
    public void Ranges_are_discarded_and_zeroed()
    {
        var rig = new BlkRig(BlkRig.Plain());
        byte[] ones = new byte[8192];
        ones.AsSpan().Fill(1);
        foreach (var type in new[] { RequestType.WriteZeroes, RequestType.Discard })
        {
            Assert.Equal(Ok, rig.Run(RequestType.Out, 0, ones).Status);
            Assert.Equal((Ok, 1u), Of(rig.Run(type, 0, Ranges((1, 2, 0), (8, 1, 0), (3, 0, 0)), 0, [19, 2])));
            byte[] back = rig.Run(RequestType.In, 0, default, 8192).Data;
            Assert.Equal(ones[..512], back[..512]);
            Assert.Equal(new byte[1024], back[512..1536]);
            Assert.Equal(new byte[512], back[4096..4608]);
            Assert.Equal(ones[4608..], back[4608..]);
        }
    }

    [Fact]
    public void Invalid_ranges_change_nothing()
    {
        var rig = new BlkRig(BlkRig.Plain());
        byte[] ones = new byte[512];
        ones.AsSpan().Fill(1);
        Assert.Equal(Ok, rig.Run(RequestType.Out, 0, ones).Status);
        Assert.Equal(Unsupported, rig.Run(RequestType.Discard, 0, Ranges((0, 1, 0), (0, 1, 1))).Status);
        Assert.Equal(Unsupported, rig.Run(RequestType.WriteZeroes, 0, Ranges((0, 1, 0), (0, 1, 2))).Status);
        Assert.Equal(IoError, rig.Run(RequestType.WriteZeroes, 0, Ranges((0, 1, 0), (2048, 1, 0))).Status);
        Assert.Equal(IoError, rig.Run(RequestType.WriteZeroes, 0, Ranges((0, 1, 0), (ulong.MaxValue, 1, 0))).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Discard, 0, Ranges((0, 1, 0), (0, uint.MaxValue, 0))).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Discard, 0, new byte[15]).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Discard, 0).Status);
        Assert.Equal(IoError, rig.Run(RequestType.Discard, 0, new byte[65 * 16]).Status);
        Assert.Equal(Ok, rig.Run(RequestType.WriteZeroes, 0, Ranges((1, 1, 1))).Status);
        Assert.Equal(ones, rig.Run(RequestType.In, 0, default, 512).Data);
    }

    [Fact]
    public void Read_only_disk_accepts_reads_and_flushes_only()
    {
        var rig = new BlkRig(BlkRig.Plain(readOnly: true));
        Assert.Equal(IoError, rig.Run(RequestType.Out, 0, new byte[512]).Status);
        Assert.Equal(Unsupported, rig.Run(RequestType.Discard, 0, Ranges((0, 1, 0))).Status);
        Assert.Equal(Ok, rig.Run(RequestType.In, 0, default, 512).Status);
        Assert.Equal((Ok, 1u), Of(rig.Run(RequestType.Flush, 0)));
    }

    [Fact]
    public void Writes_are_durable_for_a_driver_that_does_not_flush()
    {
        var disk = new TestDevice(BlkRig.Plain()) { Records = true };
        var flushing = new BlkRig(disk);
        Assert.Equal(Ok, flushing.Run(RequestType.Out, 0, new byte[512]).Status);
        Assert.Equal(WriteFlags.None, disk.Requests[^1].Fua);
        var other = new BlkRig(disk, refused: BlkFeatures.Flush);
        Assert.Equal(Ok, other.Run(RequestType.Out, 0, new byte[512]).Status);
        Assert.Equal(WriteFlags.Fua, disk.Requests[^1].Fua);
    }

    [Fact]
    public async Task Waiting_request_blocks_no_other()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var disk = new TestDevice(BlkRig.Plain())
        {
            Around = (request, run) => request is { Call: DeviceCall.Read, Offset: 8 * 512 } ? new ValueTask(gate.Task) : run(),
        };
        var rig = new BlkRig(disk);
        var waiting = Enumerable.Range(0, 20).Select(_ => rig.Submit(0, 8, [], 513)).ToArray();
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(Ok, rig.Run(RequestType.In, 0, default, 512).Status);
        }

        // the guest may see its reply before the request releases its memory
        for (int tries = 0; tries < 1000 && (rig.Ring.InFlight != 20 || rig.Device.Budget.Held != 20 * BlkLimits.RequestCost); tries++)
        {
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }

        Assert.Equal((20, 20L * BlkLimits.RequestCost), (rig.Ring.InFlight, rig.Device.Budget.Held));
        var closed = rig.Ring.CloseAsync();
        Assert.False(closed.IsCompleted);
        gate.SetResult();
        Assert.All(waiting, t => Assert.Equal((Ok, 513u), Of(rig.Wait(t))));
        await closed.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Equal(0, rig.Device.Budget.Held);
    }

    [Theory]
    [InlineData((int)(RingFeatures.Indirect | RingFeatures.EventIndex))]
    [InlineData((int)(RingFeatures.Indirect | RingFeatures.EventIndex | RingFeatures.Packed))]
    public async Task Requests_on_many_threads_complete_once_with_their_own_data(int features)
    {
        var yielding = new TestDevice(BlkRig.Plain())
        {
            Around = async (_, run) =>
            {
                await Task.Yield();
                await run();
            },
        };
        var rig = new BlkRig(yielding, (RingFeatures)features);
        var random = new Random(11);
        byte[][] slots = new byte[60][];
        int mark = rig.Arena.Mark;
        for (int round = 0; round < 40; round++)
        {
            bool writes = round % 2 == 0;
            var tickets = new List<BlkRig.Ticket>();
            for (int slot = 0; slot < slots.Length; slot++)
            {
                int[]? cuts = slot % 3 == 0 ? [random.Next(1, 600), 5] : null;
                if (writes)
                {
                    random.NextBytes(slots[slot] = new byte[2048]);
                }

                tickets.Add(writes ? rig.Submit(1, (ulong)slot * 4, slots[slot], 1, cuts) : rig.Submit(0, (ulong)slot * 4, [], 2049, cuts));
                rig.Queue.Run(1);
            }

            for (int slot = 0; slot < slots.Length; slot++)
            {
                var answer = rig.Wait(tickets[slot]);
                Assert.Equal(Ok, answer.Status);
                Assert.Equal(writes ? [] : slots[slot], answer.Data);
            }

            rig.Arena.Mark = mark;
        }

        await rig.Ring.CloseAsync().WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.Equal((0, 0), (rig.Device.Budget.Held, rig.Device.Buffers.Lent));
        Assert.Equal((1200, 1200), (rig.Device.Statistics[ServedOperation.Read], rig.Device.Statistics[ServedOperation.Write]));
    }

    [Fact]
    public void Disk_errors_become_a_status()
    {
        var disk = new TestDevice(BlkRig.Plain()) { Failures = { [DeviceCall.Read] = new BlockException(BlockError.NoSpace, "full") } };
        var rig = new BlkRig(disk);
        Assert.Equal((IoError, 0u), Of(rig.Run(RequestType.In, 0, default, 512)));
        disk.Failures[DeviceCall.Read] = new BlockException(BlockError.NotSupported, "no");
        Assert.Equal(Unsupported, rig.Run(RequestType.In, 0, default, 512).Status);
        disk.Failures[DeviceCall.Read] = new InvalidOperationException("a bug");
        Assert.Equal(IoError, rig.Run(RequestType.In, 0, default, 512, [100]).Status);
        Assert.Equal(0, rig.Device.Buffers.Lent);
    }

    [Theory]
    [InlineData((int)RingFeatures.Indirect)]
    [InlineData((int)(RingFeatures.Packed | RingFeatures.EventIndex | RingFeatures.Indirect))]
    public void Requests_in_steady_state_allocate_nothing(int features)
    {
        const int requests = 20_000;
        var rig = new BlkRig(BlkRig.Plain(), (RingFeatures)features);
        byte[] header = new byte[16];
        ulong read = rig.Arena.Put(header), data = rig.Arena.Allocate(4096), status = rig.Arena.Allocate(1);
        header[0] = 1;
        ulong write = rig.Arena.Put(header);
        Spin(requests);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Spin(requests);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < requests, $"{allocated} bytes for {requests} requests");

        void Spin(int count)
        {
            for (int i = 0; i < count; i += 3)
            {
                // a read in one segment, one in two, and a write; waits for requests on other threads
                rig.Driver.Add([new(read, 16, false), new(data, 4096, true), new(status, 1, true)], indirect: true);
                rig.Driver.Add([new(read, 16, false), new(data, 1000, true), new(data + 1000, 3096, true), new(status, 1, true)]);
                rig.Driver.Add([new(write, 16, false), new(data, 4096, false), new(status, 1, true)], indirect: true);
                for (int left = 3; left > 0;)
                {
                    rig.Queue.Run(16);
                    rig.Ring.ShouldNotify();
                    while (rig.Driver.TryGetUsed(out _, out _))
                    {
                        left--;
                    }
                }
            }
        }
    }

    private static (byte Status, uint Written) Of(BlkRig.Answer answer) => (answer.Status, answer.Written);

    private static byte[] Ranges(params (ulong Sector, uint Count, uint Flags)[] ranges)
    {
        byte[] bytes = new byte[16 * ranges.Length];
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16 * i), ranges[i].Sector);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((16 * i) + 8), ranges[i].Count);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((16 * i) + 12), ranges[i].Flags);
        }

        return bytes;
    }

    private static void Put(byte[] to, int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(to.AsSpan(offset), value);
}
