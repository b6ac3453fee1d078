using Paddock.Block;
using Paddock.Images.Backups;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Chains of backups: each disk that is restored is the one of that moment, its zones included.</summary>
public sealed class BackupTests : IDisposable
{
    private const int Size = 16 << 20, ZoneSize = 1 << 20, Conventional = 2;
    private const string Bitmap = "b";

    private readonly string _folder = Directory.CreateTempSubdirectory("backup-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Restored_disk_is_the_one_of_its_moment(bool zoned, bool live)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("PADDOCK_SEED"), out int given) ? given : Environment.TickCount;
        TestContext.Current.TestOutputHelper?.WriteLine($"PADDOCK_SEED={seed}");
        var random = new Random(seed);
        await using var disk = await CreateAsync(zoned);
        await ChangeAsync(disk, random, 12);
        await BackUpAsync(disk, "full", isFull: true, live);
        for (int i = 0; i < 4; i++)
        {
            await ChangeAsync(disk, random, 6);
            await BackUpAsync(disk, $"inc{i}", isFull: false, live);
            await DiskBackup.RestoreAsync(
                At($"restored{i}"), At("full"), [.. Enumerable.Range(0, i + 1).Select(n => At($"inc{n}"))], null, Token);
            await using var restored = await Qcow2Disk.OpenAsync(At($"restored{i}"), cancellationToken: Token);
            await AssertSameAsync(disk, restored);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task No_change_of_clients_is_lost_between_backups_of_a_disk_in_use(bool zoned)
    {
        await using var disk = await CreateAsync(zoned);
        await BackUpAsync(disk, "full", isFull: true, live: true);
        using var stop = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 3).Select(client => Task.Run(() => WorkAsync(disk, client, stop.Token), Token)).ToArray();
        for (int i = 0; i < 3; i++)
        {
            await BackUpAsync(disk, $"inc{i}", isFull: false, live: true);
        }

        await stop.CancelAsync();
        await Task.WhenAll(clients);
        await BackUpAsync(disk, "last", isFull: false, live: true);
        await DiskBackup.RestoreAsync(At("restored"), At("full"), [At("inc0"), At("inc1"), At("inc2"), At("last")], null, Token);
        await using var restored = await Qcow2Disk.OpenAsync(At("restored"), cancellationToken: Token);
        await AssertSameAsync(disk, restored);
        Assert.Empty(disk.Info.Snapshots);
    }

    [Fact]
    public async Task Failed_backup_leaves_no_file_and_the_bits_of_the_bitmap()
    {
        await using var disk = await CreateAsync(zoned: false);
        await BackUpAsync(disk, "full", isFull: true, live: true);
        await disk.WriteAsync(0, new byte[] { 1 }, cancellationToken: Token);
        await Assert.ThrowsAnyAsync<BlockException>(
            () => LiveBackup.RunAsync(disk.Node!.Qcow2!, At("full"), Bitmap, isFull: false, TimeProvider.System, Token));
        await BackUpAsync(disk, "inc", isFull: false, live: true);
        await DiskBackup.RestoreAsync(At("restored"), At("full"), [At("inc")], null, Token);
        await using var restored = await Qcow2Disk.OpenAsync(At("restored"), cancellationToken: Token);
        await AssertSameAsync(disk, restored);
    }

    [Fact]
    public async Task Backups_that_do_not_belong_together_are_rejected()
    {
        await using (var disk = await CreateAsync(zoned: true))
        {
            await BackUpAsync(disk, "full", isFull: true, live: false);
            await BackUpAsync(disk, "inc", isFull: false, live: false);
        }

        File.Delete(At("disk"));
        await using (var other = await CreateAsync(zoned: false))
        {
            await BackUpAsync(other, "plain", isFull: true, live: false);
        }

        foreach (var (full, increments) in new (string, string[])[] { ("inc", []), ("full", ["full"]), ("plain", ["inc"]) })
        {
            await Assert.ThrowsAsync<ToolException>(
                () => DiskBackup.RestoreAsync(At("r"), At(full), [.. increments.Select(At)], null, Token));
            Assert.False(File.Exists(At("r")));
        }
    }

    private static async Task ChangeAsync(Qcow2Disk disk, Random random, int count)
    {
        for (int i = 0; i < count; i++)
        {
            byte[] data = new byte[4096 * random.Next(1, 60)];
            random.NextBytes(data);
            if (disk.Zones is not { } zones)
            {
                long offset = random.Next((Size - data.Length) / 512) * 512L;
                await (random.Next(4) switch
                {
                    0 => disk.WriteZeroesAsync(offset, data.Length, ZeroFlags.MayUnmap, Token),
                    1 => disk.DiscardAsync(offset, data.Length, Token),
                    _ => disk.WriteAsync(offset, data, cancellationToken: Token),
                });
                continue;
            }

            long start = random.Next(Conventional, Size / ZoneSize) * (long)ZoneSize;
            try
            {
                await (random.Next(6) switch
                {
                    0 => zones.ManageAsync(ZoneAction.Reset, start, ZoneSize, Token),
                    1 => zones.ManageAsync(ZoneAction.Finish, start, ZoneSize, Token),
                    2 => disk.WriteAsync(random.Next(Conventional * ZoneSize - data.Length), data, cancellationToken: Token),
                    _ => AppendAsync(zones, start, data),
                });
            }
            catch (ZoneException)
            {
                // the zone is full
            }
        }
    }

    private static async ValueTask AppendAsync(IZones zones, long start, byte[] data)
        => await zones.AppendAsync(start, data, cancellationToken: Token);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Failed_live_backup_leaves_bitmaps_and_snapshots_unchanged(bool isNew)
    {
        await using var disk = await CreateAsync(zoned: false);
        if (!isNew)
        {
            await BackUpAsync(disk, "first", isFull: true, live: true);
            await disk.WriteAsync(0, new byte[4096], cancellationToken: Token);
        }

        await File.WriteAllBytesAsync(At("taken"), [], Token);
        await Assert.ThrowsAsync<BlockException>(() => BackUpAsync(disk, "taken", isFull: true, live: true));
        Assert.Empty(disk.Node!.Qcow2!.Snapshots.List);
        Assert.Equal(isNew ? [] : [Bitmap], disk.Bitmaps.List.Select(static b => b.Name));
        if (!isNew)
        {
            Assert.True((await disk.Bitmaps.OpenAsync(Bitmap, Token)).Find(0, 4096).IsDirty);
        }
    }

    private static async Task WorkAsync(Qcow2Disk disk, int client, CancellationToken stop)
    {
        var random = new Random(client);
        byte[] data = new byte[4096];
        while (!stop.IsCancellationRequested)
        {
            random.NextBytes(data);
            if (disk.Zones is not { } zones)
            {
                await disk.WriteAsync(random.Next(Size / 4096) * 4096L, data, cancellationToken: Token);
                continue;
            }

            long start = (Conventional + client) * (long)ZoneSize;
            try
            {
                await AppendAsync(zones, start, data);
            }
            catch (ZoneException)
            {
                await zones.ManageAsync(ZoneAction.Reset, start, ZoneSize, Token);
            }
        }
    }

    private static async Task AssertSameAsync(Qcow2Disk expected, Qcow2Disk actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        byte[] left = new byte[Size], right = new byte[Size];
        await expected.ReadAsync(0, left, Token);
        await actual.ReadAsync(0, right, Token);
        Assert.Equal(Size, left.AsSpan().CommonPrefixLength(right));
        if (expected.Zones is { } zones)
        {
            var (from, to) = (new ZoneDescriptor[Size / ZoneSize], new ZoneDescriptor[Size / ZoneSize]);
            await zones.ReportAsync(0, from, Token);
            await actual.Zones!.ReportAsync(0, to, Token);
            for (int i = 0; i < from.Length; i++)
            {
                Assert.Equal((from[i].WritePointer, Settled(from[i].Condition)), (to[i].WritePointer, Settled(to[i].Condition)));
            }
        }
    }

    // a zone that is open is closed when its image is
    private static ZoneCondition Settled(ZoneCondition condition)
        => condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen ? ZoneCondition.Closed : condition;

    private async Task<Qcow2Disk> CreateAsync(bool zoned) => await Qcow2Disk.CreateAsync(
        At("disk"), Size,
        new Qcow2CreateOptions { Zoned = zoned ? new ZonedCreateOptions { ZoneSize = ZoneSize, ConventionalZones = Conventional } : null },
        cancellationToken: Token);

    private async Task BackUpAsync(Qcow2Disk disk, string name, bool isFull, bool live)
    {
        if (live)
        {
            await LiveBackup.RunAsync(disk.Node!.Qcow2!, At(name), Bitmap, isFull, TimeProvider.System, Token);
        }
        else if (isFull)
        {
            await DiskBackup.FullAsync(disk, At(name), null, Token);
            await disk.Bitmaps.AddAsync(Bitmap, cancellationToken: Token);
        }
        else
        {
            await DiskBackup.IncrementAsync(disk, [await disk.Bitmaps.OpenAsync(Bitmap, Token)], At(name), null, Token);
            await disk.Bitmaps.ClearAsync(Bitmap, Token);
        }
    }

    private string At(string name) => Path.Combine(_folder, name);
}
