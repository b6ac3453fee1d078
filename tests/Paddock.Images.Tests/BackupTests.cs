using System.Text;
using Paddock.Block;
using Paddock.Crypto;
using Paddock.Images.Backups;
using Paddock.Qcow2;

namespace Paddock.Images.Tests;

/// <summary>Chains of backups: each disk that is restored is the one of that moment, its zones included.</summary>
public sealed class BackupTests : IDisposable
{
    private const int Size = 16 << 20, ZoneSize = 1 << 20, Conventional = 2;
    private const string Bitmap = "b";

    private static readonly byte[] Passphrase = "letter"u8.ToArray();

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
        int seed = TestSeed.Next();
        var random = new Random(seed);
        await using var disk = await CreateAsync(zoned);
        await ChangeAsync(disk, random, 12);
        await BackUpAsync(disk, "full", isFull: true, live);
        for (int i = 0; i < 4; i++)
        {
            await ChangeAsync(disk, random, 6);
            await BackUpAsync(disk, $"inc{i}", isFull: false, live);
            await DiskBackup.RestoreAsync(
                At($"restored{i}"), At("full"), [.. Enumerable.Range(0, i + 1).Select(n => At($"inc{n}"))], null, null, Token);
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
        await DiskBackup.RestoreAsync(At("restored"), At("full"), [At("inc0"), At("inc1"), At("inc2"), At("last")], null, null, Token);
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
            () => LiveBackup.RunAsync(disk.Node!.Qcow2!, At("full"), Bitmap, isFull: false, null, TimeProvider.System, Token));
        await BackUpAsync(disk, "inc", isFull: false, live: true);
        await DiskBackup.RestoreAsync(At("restored"), At("full"), [At("inc")], null, null, Token);
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
                () => DiskBackup.RestoreAsync(At("r"), At(full), [.. increments.Select(At)], null, null, Token));
            Assert.False(File.Exists(At("r")));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Increments_out_of_order_or_with_one_left_out_are_rejected(bool live)
    {
        await using var disk = await CreateAsync(zoned: false);
        await BackUpAsync(disk, "full", isFull: true, live);
        foreach (string name in new[] { "a", "b" })
        {
            await disk.WriteAsync(0, Encoding.ASCII.GetBytes(name), cancellationToken: Token);
            await BackUpAsync(disk, name, isFull: false, live);
        }

        await BackUpAsync(disk, "full2", isFull: true, live);
        foreach (var (full, increments) in new (string, string[])[]
            { ("full", ["b"]), ("full", ["b", "a"]), ("full", ["a", "a"]), ("full2", ["a"]), ("full2", ["a", "b"]) })
        {
            var failure = await Assert.ThrowsAsync<ToolException>(
                () => DiskBackup.RestoreAsync(At("r"), At(full), [.. increments.Select(At)], null, null, Token));
            Assert.Contains("oldest first", failure.Message, StringComparison.Ordinal);
            Assert.False(File.Exists(At("r")));
        }

        await DiskBackup.RestoreAsync(At("r"), At("full"), [At("a"), At("b")], null, null, Token);
        await using var restored = await Qcow2Disk.OpenAsync(At("r"), cancellationToken: Token);
        await AssertSameAsync(disk, restored);
    }

    [Fact]
    public async Task Increment_after_a_failed_first_backup_is_rejected()
    {
        await using var disk = await CreateAsync(zoned: false);
        await Assert.ThrowsAnyAsync<BlockException>(() => BackUpAsync(disk, "missing/full", isFull: true, live: true));
        var failure = await Assert.ThrowsAsync<ToolException>(() => BackUpAsync(disk, "inc", isFull: false, live: true));
        Assert.Contains("full backup", failure.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(At("inc")));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public async Task Backups_of_an_encrypted_disk_are_encrypted(bool zoned, bool live)
    {
        await using var disk = await CreateAsync(
            zoned, new Qcow2CreateOptions { Encryption = new LuksOptions { Passphrase = Passphrase, IterationTime = TimeSpan.Zero } });
        byte[] secret = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("plain text ", 100)))[..1024];
        await disk.WriteAsync(0, secret, cancellationToken: Token);
        await BackUpAsync(disk, "full", isFull: true, live);
        await disk.WriteAsync(4096, secret, cancellationToken: Token);
        await BackUpAsync(disk, "inc", isFull: false, live);
        await DiskBackup.RestoreAsync(At("restored"), At("full"), [At("inc")], Passphrase, null, Token);
        var open = new DiskOptions { Passphrase = Passphrase };
        await using (var restored = await Qcow2Disk.OpenAsync(At("restored"), open, Token))
        {
            await AssertSameAsync(disk, restored);
        }

        foreach (string name in new[] { "full", "inc", "restored" })
        {
            Assert.Equal(-1, (await File.ReadAllBytesAsync(At(name), Token)).AsSpan().IndexOf(secret.AsSpan(0, 64)));
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

    [Fact]
    public async Task Full_live_backup_replaces_an_inconsistent_bitmap()
    {
        var disk = await CreateAsync(zoned: false);
        await BackUpAsync(disk, "first", isFull: true, live: true);
        await disk.DisposeAsync();
        await using (var killed = await Qcow2Disk.OpenAsync(At("disk"), cancellationToken: Token))
        {
            // the file as a program leaves it that is killed after a change
            await killed.WriteAsync(0, new byte[] { 1 }, cancellationToken: Token);
            await killed.FlushAsync(Token);
            File.Copy(At("disk"), At("copy"));
        }

        await using var copy = await Qcow2Disk.OpenAsync(At("copy"), cancellationToken: Token);
        Assert.True(copy.Bitmaps.List.Single(static b => b.Name == Bitmap).InUse);
        await Assert.ThrowsAsync<ToolException>(() => BackUpAsync(copy, "inc", isFull: false, live: true));
        await BackUpAsync(copy, "second", isFull: true, live: true);
        Assert.False(copy.Bitmaps.List.Single(static b => b.Name == Bitmap).InUse);
        await BackUpAsync(copy, "inc", isFull: false, live: true);
    }

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

        var bitmaps = disk.Bitmaps.List.ToList();
        await File.WriteAllBytesAsync(At("taken"), [], Token);
        await Assert.ThrowsAsync<BlockException>(() => BackUpAsync(disk, "taken", isFull: true, live: true));
        Assert.Empty(disk.Node!.Qcow2!.Snapshots.List);
        Assert.Equal(bitmaps, disk.Bitmaps.List);
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

    private async Task<Qcow2Disk> CreateAsync(bool zoned, Qcow2CreateOptions? options = null) => await Qcow2Disk.CreateAsync(
        At("disk"), Size,
        (options ?? new Qcow2CreateOptions()) with
        {
            Zoned = zoned ? new ZonedCreateOptions { ZoneSize = ZoneSize, ConventionalZones = Conventional } : null,
        },
        cancellationToken: Token);

    private async Task BackUpAsync(Qcow2Disk disk, string name, bool isFull, bool live)
    {
        var encryption = LikeEncryption.Of(disk.Node, Passphrase);
        encryption = encryption is null ? null : encryption with { IterationTime = TimeSpan.Zero };
        if (live)
        {
            await LiveBackup.RunAsync(disk.Node!.Qcow2!, At(name), Bitmap, isFull, encryption, TimeProvider.System, Token);
        }
        else
        {
            await ImageBackup.RunAsync(disk, At(name), Bitmap, isFull, encryption, null, Token);
        }
    }

    private string At(string name) => Path.Combine(_folder, name);
}
