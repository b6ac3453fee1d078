using Paddock.Block;
using Paddock.Testing;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>The client as a disk for requests of any size, for any export size and minimum block size.</summary>
public class ClientDiskTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1_000_003, 1)]
    [InlineData(70_000, 16)]
    [InlineData(511, 1)]
    public async Task Partial_last_sector_of_an_export_is_padded_with_zeroes(int size, int block)
    {
        var stored = MemoryDisk.Of(size);
        await stored.WriteAsync(0, Enumerable.Repeat((byte)7, size).ToArray(), cancellationToken: Token);
        var device = Devices.Blocks(stored, size, block);
        await using var bench = Bench.Of(device);
        await using var disk = new NbdDisk(await NbdClient.ConnectAsync(bench.Target, Token));
        Assert.Equal((size + 511) & ~511, disk.Length);
        byte[] last = new byte[512];
        long at = disk.Length - 512;
        int inside = (int)(size - at);
        last.AsSpan().Fill(9);
        await disk.ReadAsync(at, last, Token);
        Assert.All(last[..inside], b => Assert.Equal(7, b));
        Assert.All(last[inside..], b => Assert.Equal(0, b));

        // only the padding zeroes may be written back; other bytes beyond the export are rejected
        last.AsSpan(0, inside).Fill(8);
        await disk.WriteAsync(at, last, WriteFlags.None, Token);
        Assert.All((await BytesOfAsync(stored, size))[^inside..], b => Assert.Equal(8, b));
        last[inside] = 1;
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(at, last));
        Assert.Equal(BlockError.NoSpace, refused.Error);
        await disk.WriteAsync(size, new byte[512 - inside], WriteFlags.None, Token);
        await disk.DiscardAsync(at, 512, Token);
        await disk.WriteZeroesAsync(at, 512, ZeroFlags.MayUnmap, Token);
        Assert.All((await BytesOfAsync(stored, size))[^inside..], b => Assert.Equal(0, b));
        var pad = await disk.GetStatusAsync(size, 512 - inside, Token);
        Assert.Equal((512L - inside, BlockStatusFlags.Zero), (pad.Length, pad.Flags & (BlockStatusFlags.Zero | BlockStatusFlags.Data)));
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(65536)]
    public async Task Unaligned_request_changes_only_its_own_bytes(int block)
    {
        const int Size = 4 << 20, Seed = 91;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {Seed}");
        var random = new Random(Seed);
        byte[] model = new byte[Size];
        random.NextBytes(model);
        var stored = MemoryDisk.Of(Size);
        await stored.WriteAsync(0, model.ToArray(), cancellationToken: Token);
        var device = Devices.Blocks(stored, Size, block);
        await using var bench = Bench.Of(device);
        await using var disk = new NbdDisk(await NbdClient.ConnectAsync(bench.Target, Token));
        Assert.Equal((uint)block, disk.Client.Info.MinimumBlock);
        for (int round = 0; round < 150; round++)
        {
            // up to a length above the limit of one merge
            int length = random.Next(1, random.Next(4) == 0 ? 3 << 20 : 2 * block), at = random.Next(Size - length + 1);
            byte[] data = new byte[length];
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(data);
                    await disk.WriteAsync(at, data, random.Next(2) == 0 ? WriteFlags.Fua : WriteFlags.None, Token);
                    data.CopyTo(model, at);
                    break;
                case 1:
                    await disk.WriteZeroesAsync(at, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.Fua, Token);
                    data.CopyTo(model, at);
                    break;
                case 2:
                    await disk.DiscardAsync(at, length, Token);
                    break;
                default:
                    await disk.ReadAsync(at, data, Token);
                    Assert.True(model.AsSpan(at, length).SequenceEqual(data), $"round {round}: read of {length} at {at}");
                    break;
            }
        }

        Assert.Equal(model, await BytesOfAsync(stored, Size));
    }

    [Fact]
    public async Task Concurrent_writes_to_parts_of_one_block_all_take_effect()
    {
        const int Block = 4096, Part = 128;
        var stored = MemoryDisk.Of(4 * Block);
        var device = Devices.Blocks(stored, 4 * Block, Block);
        await using var bench = Bench.Of(device);
        await using var disk = new NbdDisk(await NbdClient.ConnectAsync(bench.Target, Token));
        for (byte round = 1; round < 40; round++)
        {
            // a write of the whole block, concurrent with its parts, takes effect before all of them or after all of them
            byte[] whole = new byte[Block];
            byte value = round;
            var all = Enumerable.Range(0, Block / Part)
                .Select(i => disk.WriteAsync(Block + (i * Part), Enumerable.Repeat(value, Part).ToArray()).AsTask()).ToList();
            all.Add(disk.WriteAsync(0, whole.AsMemory()).AsTask());
            all.Add(disk.WriteZeroesAsync((2 * Block) - 1, 1).AsTask());
            await Task.WhenAll(all);
            Assert.All((await BytesOfAsync(stored, 4 * Block))[Block..((2 * Block) - Part)], b => Assert.Equal(value, b));
        }
    }

    [Fact]
    public async Task Export_size_not_a_multiple_of_the_minimum_block_is_rejected()
    {
        await using var bench = Bench.Of(Devices.Blocks(5000, 4096));
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await NbdClient.ConnectAsync(bench.Target));
        Assert.Equal("export size 5000 is not multiple of minimum block size 4096", refused.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Control_characters_in_a_server_message_are_escaped(int form)
    {
        var device = Devices.Blocks(1 << 20);
        device.Failures[DeviceCall.Write] = new BlockException(BlockError.NoSpace, "full\n\u001b[31mall is well\u202e");
        await using var bench = Bench.Of(device, new NbdServerOptions { Newest = (Wire.HeaderForm)form });
        await using var client = await NbdClient.ConnectAsync(bench.Target, Token);
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await client.WriteAsync(0, new byte[512]));
        Assert.Equal((BlockError.NoSpace, 28), (refused.Error, refused.Errno));
        Assert.Equal(
            form == 0 ? "No space left on device (from the NBD server)"
            : @"No space left on device (the NBD server says: full\n\x1b[31mall is well\u202e)", refused.Message);
        var unknown = await Assert.ThrowsAsync<BlockException>(
            async () => await NbdClient.ConnectAsync(bench.Target with { ExportName = "a\u001b[2J" }));
        Assert.DoesNotContain('\u001b', unknown.Message);
    }

    private static async Task<byte[]> BytesOfAsync(RawDevice stored, int length)
    {
        byte[] bytes = new byte[length];
        await stored.ReadAsync(0, bytes, Token);
        return bytes;
    }
}
