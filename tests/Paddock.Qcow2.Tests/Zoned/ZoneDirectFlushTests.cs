using System.Buffers.Binary;
using System.Text;
using Paddock.Block;
using Paddock.Crypto;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;
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
    public async Task Power_cut_within_a_reset_keeps_pointer_and_data_or_neither()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        for (byte i = 1; i <= 4; i++)
        {
            await AppendAsync(image, 0, i);
        }

        int before = disk.Log.Count;
        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, Token);
        for (int position = before; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 4 * Cuts; seed++)
            {
                var after = new PowerCut(disk.Log).At(position, seed);
                await using var again = await OpenAsync(new CrashStorage(after), readOnly: true);
                if (await PointerAsync(again, 0) is var pointer and not 0)
                {
                    Assert.Equal(4 * Piece, pointer);
                    await CheckDataAsync(again, 4);
                }
            }
        }

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

    [Fact]
    public async Task Closing_after_reset_of_the_recorded_zone_clears_the_feature_bit()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        Assert.Equal(Bit, await FeaturesAsync(disk) & Bit);
        await image.Zones!.ManageAsync(ZoneAction.Reset, 0, ZoneSize, Token);
        await image.DisposeAsync();
        Assert.Equal(0UL, await FeaturesAsync(disk) & Bit);
    }

    [Fact]
    public async Task Opening_and_closing_after_a_power_cut_without_a_record_clears_the_feature_bit()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        await image.Zones!.AppendAsync(0, Filled(3, Piece), cancellationToken: Token);
        await image.Zones!.AppendAsync(ZoneSize, Filled(9, Piece), cancellationToken: Token);
        await image.FlushAsync(Token);
        var after = new CrashStorage(disk.Reboot(0));
        Assert.Equal(Bit, await FeaturesAsync(after) & Bit);
        await (await OpenAsync(after)).DisposeAsync();
        Assert.Equal(0UL, await FeaturesAsync(after) & Bit);
        await image.DisposeAsync();
    }

    [Fact]
    public async Task Record_that_does_not_count_is_cleared_by_opening_and_closing()
    {
        var disk = await CreateAsync();
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        var after = new CrashStorage(disk.Reboot(0));
        long table = image.Info.Zoned!.TableOffset;
        await after.WriteAsync(table, new byte[8], Token);
        await (await OpenAsync(after)).DisposeAsync();
        Assert.Equal(0UL, await FeaturesAsync(after) & Bit);
        var bytes = new byte[after.Length];
        after.Live.Read(0, bytes);
        Assert.Equal(-1, Encoding.Latin1.GetString(bytes).IndexOf("PDKZDATA", StringComparison.Ordinal));
        await image.DisposeAsync();
    }

    [Fact]
    public async Task Record_of_a_zone_with_a_random_write_area_does_not_count()
    {
        const int Unit = 64 << 10, Area = 512 << 10;
        var disk = new CrashStorage();
        var options = new Qcow2CreateOptions
        {
            Size = 8 << 20, Zoned = new ZonedCreateOptions { ZoneSize = ZoneSize, RandomArea = new(Area, Unit, 1) },
        };
        await Qcow2Image.CreateAsync(disk, options, Token);
        var image = await OpenAsync(disk);
        await image.Zones!.ManageAsync(ZoneAction.OpenWithRandomArea, 0, ZoneSize, Token);
        await image.WriteAsync(0, Filled(1, 2 * Unit), cancellationToken: Token);
        await image.Zones!.CommitAsync(Unit, Token);
        var table = new HostOffset(image.Info.Zoned!.TableOffset);
        await image.DisposeAsync();

        await PutRecordAsync(disk, table, new ZoneDataRecord(0, Unit - Piece, Unit), Filled(7, Piece));
        foreach (bool readOnly in new[] { true, false })
        {
            await using var again = await OpenAsync(disk, readOnly);
            var bytes = new byte[ZoneSize];
            await again.ReadAsync(0, bytes, Token);
            Assert.Equal(Filled(1, 2 * Unit), bytes[..(2 * Unit)]);
            Assert.Equal(new byte[ZoneSize - (2 * Unit)], bytes[(2 * Unit)..]);
        }
    }

    [Fact]
    public async Task Record_of_an_encrypted_image_does_not_count()
    {
        byte[] passphrase = "word"u8.ToArray();
        var disk = new CrashStorage();
        var options = new Qcow2CreateOptions
        {
            Size = 8 << 20,
            Zoned = new ZonedCreateOptions { ZoneSize = ZoneSize },
            Encryption = new LuksOptions { Passphrase = passphrase, IterationTime = TimeSpan.FromMilliseconds(1) },
        };
        await Qcow2Image.CreateAsync(disk, options, Token);
        var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions { Passphrase = passphrase }, Token);
        await AppendAsync(image, 0, 1);
        var table = new HostOffset(image.Info.Zoned!.TableOffset);
        await image.DisposeAsync();

        await PutRecordAsync(disk, table, new ZoneDataRecord(0, 0, Piece), Filled(7, Piece));
        foreach (bool readOnly in new[] { true, false })
        {
            var again = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions { Passphrase = passphrase, ReadOnly = readOnly }, Token);
            await CheckDataAsync(again, 1);
            await again.DisposeAsync();
        }

        Assert.Equal(0UL, await FeaturesAsync(disk) & Bit);
    }

    [Fact]
    public async Task Flush_succeeds_without_space_behind_the_table()
    {
        var disk = await CreateAsync();
        disk.Capacity = 1 << 30;
        var image = await OpenAsync(disk);
        await AppendAsync(image, 0, 1);
        await image.Zones!.AppendAsync(0, Filled(2, Piece), cancellationToken: Token);
        disk.Capacity = disk.AllocatedBytes;
        await image.FlushAsync(Token);
        Assert.NotEqual(0, disk.Refusals);
        for (int seed = 0; seed < Cuts; seed++)
        {
            await using var again = await OpenAsync(new CrashStorage(disk.Reboot(seed)));
            await CheckDataAsync(again, 2);
        }

        disk.Capacity = 0;
        await image.DisposeAsync();
    }

    [Fact]
    public async Task Flushed_data_are_in_the_bitmaps()
    {
        var disk = await CreateAsync();
        await using var image = await OpenAsync(disk);
        await image.Bitmaps.AddAsync("b", 512, Token);
        await AppendAsync(image, 0, 1);
        await AppendAsync(image, 0, 2);
        Assert.Equal(StorageStep.Settle, disk.Log[disk.Log.Count - 1].Step);
        var bitmap = await image.Bitmaps.OpenAsync("b", Token);
        Assert.True(bitmap.Find(Piece, Piece).IsDirty);
        Assert.Equal(Piece, bitmap.Find(Piece, Piece).Length);
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

    private static async Task PutRecordAsync(CrashStorage disk, HostOffset table, ZoneDataRecord record, byte[] data)
    {
        await disk.WriteAsync(table.Value + 512, record.Build(table, data), Token);
        var features = new byte[8];
        ulong present = await FeaturesAsync(disk);
        BinaryPrimitives.WriteUInt64BigEndian(features, present | Bit);
        await disk.WriteAsync(72, features, Token);
    }

    private static async Task<ulong> FeaturesAsync(CrashStorage storage)
    {
        var bytes = new byte[8];
        await storage.ReadAsync(72, bytes, Token);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }
}
