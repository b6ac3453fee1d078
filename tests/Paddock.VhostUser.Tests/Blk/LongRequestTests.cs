using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2;
using Paddock.Serving;
using Paddock.Testing;
using Paddock.VhostUser.Blk;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>Long ranges run in pieces and end with their front end.</summary>
public class LongRequestTests
{
    private const int DiskBytes = 64 << 20;

    [Theory]
    [InlineData(RequestType.Discard)]
    [InlineData(RequestType.WriteZeroes)]
    public void Long_ranges_are_discarded_and_zeroed_completely(object type)
    {
        var rig = new BlkRig(BlkRig.Plain(DiskBytes));
        byte[] ones = new byte[512];
        ones.AsSpan().Fill(1);
        ulong[] sectors = [0, 1, (16 << 11) - 1, 16 << 11, (33 << 11) - 1, 33 << 11, (DiskBytes >> 9) - 1];
        foreach (ulong sector in sectors)
        {
            Assert.Equal(0, rig.Run(RequestType.Out, sector, ones).Status);
        }

        Assert.Equal(0, rig.Run((RequestType)type, 0, Range(0, 33 << 11)).Status);
        foreach (ulong sector in sectors)
        {
            Assert.Equal(sector < 33 << 11 ? new byte[512] : ones, rig.Run(RequestType.In, sector, default, 512).Data);
        }
    }

    [Fact]
    public async Task Long_request_of_a_disconnected_front_end_is_not_completed()
    {
        var rig = new BlkRig(BlkRig.Plain(DiskBytes));
        rig.Queue.LongWork.Dispose();
        rig.Submit((uint)RequestType.Discard, 0, Range(0, 33 << 11), 1);
        rig.Queue.Run(16);
        await rig.Ring.CloseAsync().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.False(rig.Driver.TryGetUsed(out _, out _));
        Assert.Equal((0L, 0L), (rig.Device.Buffers.Lent, rig.Device.Budget.Held));
    }

    [Fact]
    public async Task Cancelled_write_in_pieces_does_not_block_the_next()
    {
        const int length = 3 << 20;
        var zoned = await BlkRig.ZonedAsync(new ZonedCreateOptions { ZoneSize = 8 << 20 }, 16 << 20);
        var disk = new TestDevice(zoned)
        {
            Around = async (_, _) =>
            {
                await Task.Yield();
                throw new BlockException(BlockError.Cancelled, "given up");
            },
        };
        var rig = new BlkRig(disk, options: new VirtioBlkOptions { Buffers = new SlabPool(8 << 20) }, memory: 16 << 20);
        for (int i = 0; i < 2; i++)
        {
            rig.Submit((uint)RequestType.Out, (ulong)i * (length >> 9), new byte[length], 1, [16, length / 2]);
        }

        // above the longest gathered request: each runs in pieces
        Assert.True(length > rig.Device.LongestGathered);
        rig.Queue.LongWork.Dispose();
        await Task.Run(() => rig.Queue.Run(16), TestContext.Current.CancellationToken)
            .WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        await rig.Ring.CloseAsync().WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.False(rig.Driver.TryGetUsed(out _, out _));
        Assert.Equal((0L, 0L), (rig.Device.Buffers.Lent, rig.Device.Budget.Held));
    }

    private static byte[] Range(ulong sector, uint sectors)
    {
        byte[] range = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(range, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(8), sectors);
        return range;
    }
}
