using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Flushes of one zone's gathered data in one request, where the storage has durable writes.</summary>
public class ZoneDirectFlushTests
{
    private const long ZoneSize = 1 << 20;
    private const int Piece = 4096;
    private const int Cuts = 40;
    private const ulong Bit = 1UL << 48;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Flush_of_gathered_data_is_one_request()
    {
        var disk = await CreateAsync();
        await using var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        int before = disk.Log.Count;
        await AppendAsync(image, 0, 3);
        Assert.Equal(before + 2, disk.Log.Count);
        Assert.Equal((StorageStep.Write, StorageStep.Settle), (disk.Log[before].Step, disk.Log[before + 1].Step));
    }

    [Fact]
    public async Task Flush_without_new_data_makes_no_request()
    {
        var disk = await CreateAsync();
        await using var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        int before = disk.Log.Count;
        await image.FlushAsync(Token);
        Assert.Equal(before, disk.Log.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Flushed_data_survive_a_power_cut(bool readOnly)
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        for (byte i = 1; i <= 20; i++)
        {
            await AppendAsync(image, 0, i);
            var after = new CrashStorage(disk.Reboot(i)) { DurableBlock = 4 << 20 };
            await using var again = await OpenAsync(after, readOnly);
            Assert.Equal(i * (long)Piece, await PointerAsync(again, 0));
            await CheckDataAsync(again, i);
            var status = await again.GetStatusAsync((i - 1) * Piece, Piece, Token);
            Assert.True((status.Flags & BlockStatusFlags.Data) != 0);
        }

        await image.DisposeAsync();
    }

    [Fact]
    public async Task Power_cut_after_a_take_over_keeps_the_data()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        for (byte i = 1; i <= 5; i++)
        {
            await AppendAsync(image, 0, i);
        }

        for (int seed = 0; seed < Cuts; seed++)
        {
            var after = new CrashStorage(disk.Reboot(seed)) { DurableBlock = 4 << 20 };
            var again = await OpenAsync(after);
            var last = new CrashStorage(after.Reboot(seed));
            await using var third = await OpenAsync(last);
            await CheckDataAsync(third, 5);
            await again.DisposeAsync();
        }

        await image.DisposeAsync();
    }

    [Fact]
    public async Task Feature_bit_is_set_while_data_may_lie_behind_the_table_and_cleared_by_closing()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        Assert.Equal(0UL, await FeaturesAsync(disk) & Bit);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        Assert.Equal(Bit, await FeaturesAsync(disk) & Bit);
        await image.DisposeAsync();
        Assert.Equal(0UL, await FeaturesAsync(disk) & Bit);
        var report = await Qcow2Image.CheckAsync(disk, Qcow2Repair.None, cancellationToken: Token);
        Assert.Equal((0L, 0L, 0L), (report.Corruptions, report.Leaks, report.CheckErrors));
    }

    [Fact]
    public async Task Reset_zone_stays_empty_and_its_data_leave_the_storage()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        for (byte i = 1; i <= 4; i++)
        {
            await AppendAsync(image, 0, 0xA5);
        }

        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, Token);
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            Assert.Equal(0, await PointerAsync(again, 0));
        }

        await image.FlushAsync(Token);
        var bytes = new byte[disk.Length];
        disk.Live.Read(0, bytes);
        Assert.Equal(-1, bytes.AsSpan().IndexOf((ReadOnlySpan<byte>)[0xA5, 0xA5, 0xA5, 0xA5]));
        await image.DisposeAsync();
    }

    [Fact]
    public async Task Data_of_one_zone_stay_when_another_is_reset()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 1, 9);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        await image.Zones!.ManageAsync(ZoneAction.Reset, ZoneSize, ZoneSize, Token);
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            await CheckDataAsync(again, 2);
            Assert.Equal(ZoneSize, await PointerAsync(again, 1));
        }

        await image.DisposeAsync();
    }

    [Fact]
    public async Task Zone_written_again_to_the_same_pointer_has_its_new_data()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, Token);
        await image.Zones!.AppendAsync(0, Filled(1, Piece), cancellationToken: Token);
        await image.Zones!.AppendAsync(0, Filled(2, Piece), cancellationToken: Token);
        await image.Zones!.AppendAsync(ZoneSize, Filled(3, Piece), cancellationToken: Token);
        await image.FlushAsync(Token);
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            await CheckDataAsync(again, 2);
        }

        await image.DisposeAsync();
    }

    [Fact]
    public async Task Failed_flush_keeps_what_was_flushed_before_and_the_next_one_repeats_it()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        disk.FaultsMayTakeEffect = true;
        disk.FailChange = disk.Changes + 1;
        await Assert.ThrowsAsync<BlockException>(() => AppendAsync(image, 0, 3));
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            Assert.InRange(await PointerAsync(again, 0), 2 * Piece, 3 * Piece);
            await CheckDataAsync(again, 2);
        }

        await image.FlushAsync(Token);
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            await CheckDataAsync(again, 3);
        }

        await image.DisposeAsync();
    }

    private static async Task<CrashStorage> CreateAsync()
    {
        var disk = new CrashStorage { DurableBlock = 4 << 20 };
        var options = new Qcow2CreateOptions
        {
            Size = 8 << 20,
            Preallocation = Preallocation.Metadata,
            Zoned = new ZonedCreateOptions { ZoneSize = ZoneSize },
        };
        await Qcow2Image.CreateAsync(disk, options, Token);
        return disk;
    }

    private static async Task<IQcow2Device> OpenAsync(IStorage storage, bool readOnly = false)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = readOnly }, Token);

    private static async Task AppendAsync(IQcow2Device image, int zone, byte value)
    {
        await image.Zones!.AppendAsync(zone * ZoneSize, Filled(value, Piece), cancellationToken: Token);
        await image.FlushAsync(Token);
    }

    private static byte[] Filled(byte value, int length)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private static async Task CheckDataAsync(IQcow2Device image, int pieces)
    {
        var bytes = new byte[pieces * Piece];
        await image.ReadAsync(0, bytes, Token);
        for (int i = 0; i < pieces; i++)
        {
            Assert.Equal(-1, bytes.AsSpan(i * Piece, Piece).IndexOfAnyExcept((byte)(i + 1)));
        }
    }

    private static async Task<long> PointerAsync(IQcow2Device image, int zone)
    {
        var zones = new ZoneDescriptor[1];
        await image.Zones!.ReportAsync(zone * ZoneSize, zones, Token);
        return zones[0].WritePointer;
    }

    private static async Task<ulong> FeaturesAsync(CrashStorage storage)
    {
        var bytes = new byte[8];
        await storage.ReadAsync(72, bytes, Token);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }
}
