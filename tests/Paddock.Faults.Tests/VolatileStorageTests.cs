using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Faults.Tests;

public class VolatileStorageTests
{
    private const int Sector = 512, Space = 256 << 10;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Power_cut_keeps_flushed_data_and_drops_the_rest()
    {
        var disk = new PagedStorage();
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.WriteAsync(0, "kept"u8.ToArray(), Token);
        await cache.FlushAsync(Token);
        await cache.WriteAsync(0, "lost"u8.ToArray(), Token);
        await cache.WriteAsync(9000, "lost"u8.ToArray(), Token);
        var read = new byte[4];
        await cache.ReadAsync(9000, read, Token);
        Assert.Equal("lost"u8.ToArray(), read);
        Assert.Same(disk, await cache.CutAsync());
        Assert.Equal("kept"u8.ToArray(), disk.ToArray());
    }

    [Fact]
    public async Task Requests_after_a_power_cut_fail_and_change_nothing()
    {
        var disk = new PagedStorage();
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.CutAsync();
        await Assert.ThrowsAsync<BlockException>(async () => await cache.WriteAsync(0, new byte[1], Token));
        await Assert.ThrowsAsync<BlockException>(async () => await cache.ReadAsync(0, new byte[1], Token));
        await Assert.ThrowsAsync<BlockException>(async () => await cache.FlushAsync(Token));
        await Assert.ThrowsAsync<BlockException>(async () => await cache.SetLengthAsync(9, cancellationToken: Token));
        await Assert.ThrowsAsync<BlockException>(async () => await cache.WriteZeroesAsync(0, 4096, ZeroFlags.None, Token));
        await cache.DisposeAsync();
        Assert.Equal(0, disk.Length);
    }

    [Fact]
    public async Task Full_cache_writes_its_oldest_blocks()
    {
        var disk = new PagedStorage();
        var cache = new VolatileStorage(disk, VolatileStorage.MinSize);
        for (int i = 0; i < 256; i++)
        {
            await cache.WriteAsync(i * 4096L, Filled(4096, (byte)(i + 1)), Token);
            Assert.InRange(cache.UnflushedBytes, 0, VolatileStorage.MinSize);
        }

        await cache.CutAsync();
        var left = disk.ToArray();
        Assert.InRange(left.Length, (256 * 4096) - VolatileStorage.MinSize, 255 * 4096);
        Assert.All(Enumerable.Range(0, left.Length / 4096), i => Assert.Equal(i + 1, left[i * 4096]));
    }

    [Fact]
    public async Task Cache_accepts_no_more_than_the_free_space_below()
    {
        var disk = new CrashStorage { Capacity = 8 * 4096 };
        var cache = new VolatileStorage(disk, 1 << 20);
        int accepted = 0;
        while (await FullDisk.AcceptsAsync(cache.WriteAsync(accepted * 4096L, Filled(4096, (byte)(accepted + 1)), Token)))
        {
            accepted++;
        }

        Assert.Equal(8, accepted);
        await cache.FlushAsync(Token);
        Assert.All(Enumerable.Range(0, accepted), i => Assert.Equal(i + 1, disk.Live.ToArray()[i * 4096]));
    }

    [Fact]
    public async Task Cache_keeps_data_it_cannot_write_and_rejects_more()
    {
        var disk = new CrashStorage { Capacity = 4 * 4096, CanReserve = false };
        var cache = new VolatileStorage(disk, VolatileStorage.MinSize);
        int accepted = 0;
        while (await FullDisk.AcceptsAsync(cache.WriteAsync(accepted * 4096L, Filled(4096, (byte)(accepted + 1)), Token)))
        {
            accepted++;
            Assert.InRange(accepted, 0, 64);
        }

        Assert.False(await FullDisk.AcceptsAsync(cache.FlushAsync(Token)));
        Assert.False(await FullDisk.AcceptsAsync(cache.FlushAsync(Token)));
        disk.Capacity = 1 << 20;
        await cache.FlushAsync(Token);
        Assert.All(Enumerable.Range(0, accepted), i => Assert.Equal(i + 1, disk.Live.ToArray()[i * 4096]));
        Assert.True(await FullDisk.AcceptsAsync(cache.WriteAsync(0, new byte[512], Token)));
    }

    [Fact]
    public async Task Flush_needs_no_space_that_was_not_reserved_under_a_pending_discard()
    {
        var disk = new CrashStorage { Capacity = 4096 };
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.WriteAsync(0, Filled(4096, 1), Token);
        await cache.FlushAsync(Token);
        await cache.SetLengthAsync(12288, cancellationToken: Token);
        await cache.DiscardAsync(4096, 8192, Token);
        Assert.False(await FullDisk.AcceptsAsync(cache.WriteAsync(4096, Filled(4096, 2), Token)));
        await cache.FlushAsync(Token);
        Assert.Equal([.. Filled(4096, 1), .. new byte[8192]], disk.Live.ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Space_reserved_under_a_pending_discard_stays_reserved(bool byWriting)
    {
        var disk = new CrashStorage { Capacity = 4096 };
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.WriteAsync(0, Filled(4096, 1), Token);
        await cache.FlushAsync(Token);
        await cache.DiscardAsync(0, 4096, Token);
        if (byWriting)
        {
            // the sectors around it still wait to be zeroed
            await cache.WriteAsync(512, Filled(512, 2), Token);
        }
        else
        {
            Assert.True(await cache.ReserveAsync(0, 4096, grows: true, Token));
        }

        await cache.FlushAsync(Token);
        Assert.False(await FullDisk.AcceptsAsync(disk.WriteAsync(8192, Filled(4096, 3), Token)));
        Assert.True(await FullDisk.AcceptsAsync(cache.WriteAsync(0, Filled(512, 4), Token)));
        await cache.FlushAsync(Token);
        Assert.Equal([.. Filled(512, 4), .. byWriting ? Filled(512, 2) : new byte[512], .. new byte[3072]], disk.Live.ToArray());
    }

    [Fact]
    public async Task Storage_shrunk_and_grown_reads_as_zeroes_where_it_was_cut()
    {
        var disk = PagedStorage.From(Filled(10_000, 7));
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.SetLengthAsync(1000, cancellationToken: Token);
        await cache.SetLengthAsync(10_000, cancellationToken: Token);
        var read = new byte[10_000];
        await cache.ReadAsync(0, read, Token);
        Assert.Equal([.. Filled(1000, 7), .. new byte[9000]], read);
        await cache.FlushAsync(Token);
        Assert.Equal(read, disk.ToArray());
    }

    [Fact]
    public async Task Huge_range_of_zeroes_uses_no_memory()
    {
        var disk = new PagedStorage();
        var cache = new VolatileStorage(disk, 1 << 20);
        await cache.WriteZeroesAsync(0, 1L << 39, ZeroFlags.MayUnmap, Token);
        await cache.DiscardAsync(5, 1L << 38, Token);
        Assert.Equal(0, cache.UnflushedBytes);
        Assert.Equal(BlockStatusFlags.Zero, (await cache.GetStatusAsync(1 << 20, 4096, Token)).Flags);
        await cache.FlushAsync(Token);
        Assert.Equal(1L << 39, disk.Length);
    }

    [Theory]
    [InlineData(1 << 20, 0)]
    [InlineData(VolatileStorage.MinSize, 0)]
    [InlineData(VolatileStorage.MinSize, 50)]
    [InlineData(1 << 20, 90)]
    public async Task Random_requests_read_back_and_a_power_cut_leaves_each_sector_in_a_state_since_the_flush(
        long size, int keep)
    {
        for (int seed = 0; seed < 150; seed++)
        {
            await RunAsync(seed, size, keep);
        }
    }

    private static async Task RunAsync(int seed, long size, int keep)
    {
        var random = new Random(seed);
        var disk = new PagedStorage();
        var model = new Model();
        IStorage below = disk;
        for (int life = 0; life < 3; life++)
        {
            var cache = new VolatileStorage(below, size);
            int steps = random.Next(1, 60);
            for (int step = 0; step < steps; step++)
            {
                await StepAsync(random, cache, model);
                if (random.Next(4) == 0)
                {
                    int at = random.Next(Space), length = random.Next(1, 20_000);
                    var read = new byte[length];
                    await cache.ReadAsync(at, read, Token);
                    Assert.True(read.AsSpan()
                        .SequenceEqual(model.Read(at, length)), $"seed {seed}, step {step}: reads otherwise than written");
                }

                Assert.Equal(model.Length, cache.Length);
            }

            below = await cache.CutAsync(keep, seed);
            string? wrong = model.Disagrees(disk.ToArray(), exact: keep == 0 && size > Space);
            Assert.True(wrong is null, $"seed {seed}, life {life}: {wrong}");
            model.Restart(disk.ToArray());
        }
    }

    private static async Task StepAsync(Random random, VolatileStorage cache, Model model)
    {
        int at = random.Next(Space), length = random.Next(4) == 0 ? random.Next(1, 700) : random.Next(1, 30_000);
        if (random.Next(2) == 0)
        {
            (at, length) = (at / Sector * Sector, (length + Sector - 1) / Sector * Sector);
        }

        switch (random.Next(12))
        {
            case < 6:
                var data = new byte[length];
                random.NextBytes(data);
                await cache.WriteAsync(at, data, Token);
                model.Write(at, data);
                break;
            case < 8:
                await cache.WriteZeroesAsync(at, length, random.Next(2) == 0 ? ZeroFlags.None : ZeroFlags.MayUnmap, Token);
                model.Write(at, new byte[length]);
                break;
            case 8:
                at = at / Sector * Sector;
                length = Math.Min(length, model.Length - at) / Sector * Sector;
                if (length > 0)
                {
                    await cache.DiscardAsync(at, length, Token);
                    model.Write(at, new byte[length]);
                }

                break;
            case 9:
                await cache.SetLengthAsync(at, cancellationToken: Token);
                model.SetLength(at);
                break;
            default:
                await cache.FlushAsync(Token);
                model.Flush();
                break;
        }
    }

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    /// <summary>Contents of each sector at each moment since the last flush.</summary>
    private sealed class Model
    {
        private const int Bytes = Space + 65_536;

        private readonly List<(byte[] Bytes, int Length)> _since = [(new byte[Bytes], 0)];

        public int Length => _since[^1].Length;

        public ReadOnlySpan<byte> Read(int at, int length) => _since[^1].Bytes.AsSpan(at, length);

        public void Write(int at, byte[] data) => Next(Math.Max(Length, at + data.Length), bytes => data.CopyTo(bytes, at));

        public void SetLength(int length) => Next(length, bytes => bytes.AsSpan(Math.Min(length, Length)).Clear());

        public void Flush() => _since.RemoveRange(0, _since.Count - 1);

        public void Restart(byte[] bytes)
        {
            _since.Clear();
            var whole = new byte[Bytes];
            bytes.CopyTo(whole, 0);
            _since.Add((whole, bytes.Length));
        }

        public string? Disagrees(byte[] found, bool exact)
        {
            var allowed = exact ? _since[..1] : _since;
            if (exact && found.Length != allowed[0].Length)
            {
                return $"{found.Length} bytes, not {allowed[0].Length}";
            }

            var whole = new byte[Bytes];
            found.CopyTo(whole, 0);
            for (int at = 0; at < Bytes; at += Sector)
            {
                var sector = whole.AsSpan(at, Sector).ToArray();

                // a sector is cut short by the end of the storage if its length was lost
                int length = Math.Clamp(found.Length - at, 0, Sector);
                if (length > 0 && !allowed.Exists(s => s.Bytes.AsSpan(at, length).SequenceEqual(sector.AsSpan(0, length))))
                {
                    return $"the sector at {at} holds what it never held";
                }
            }

            return null;
        }

        private void Next(int length, Action<byte[]> change)
        {
            var bytes = (byte[])_since[^1].Bytes.Clone();
            change(bytes);
            _since.Add((bytes, length));
        }
    }
}
