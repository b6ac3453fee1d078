using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Crypto;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>Power is cut at every moment of an amendment: the disk is the same, and the image sound.</summary>
public class AmendCutTests
{
    private const int Size = 300 * 512;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<int, int, string> Amendments()
    {
        var data = new TheoryData<int, int, string>();
        foreach (int cluster in new[] { 512, 4096, 65536 })
        {
            data.Add(cluster, 3, "version 2");
            data.Add(cluster, 2, "version 3");
            data.Add(cluster, 3, "lazy");
            foreach (int bits in new[] { 1, 2, 4, 8, 32, 64 })
            {
                data.Add(cluster, 3, bits.ToString(null, null));
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Amendments))]
    public async Task Power_cut_leaves_the_old_image_or_the_new_one(int cluster, int version, string change)
    {
        var (disk, before) = await MakeAsync(cluster, version);
        int start = disk.Log.Count;
        var options = change switch
        {
            "version 2" => new Qcow2AmendOptions { Version = 2 },
            "version 3" => new Qcow2AmendOptions { Version = 3 },
            "lazy" => new Qcow2AmendOptions { LazyRefcounts = true },
            _ => new Qcow2AmendOptions { RefcountBits = int.Parse(change, null) },
        };
        await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token))
        {
            await image.AmendAsync(options);
        }

        var cut = new PowerCut(disk.Log);
        for (int position = start; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 12; seed++)
            {
                await CheckAsync(cut.At(position, seed), before, leaksAllowed: true, $"cut at {position}, seed {seed}");
            }
        }

        await CheckAsync(disk.Live, before, leaksAllowed: false, "after the amendment");
        await using var after = await Qcow2Image.OpenAsync(disk.Live, new Qcow2OpenOptions(), Token);
        Assert.Equal(options.Version ?? version, after.Info.Version);
        Assert.Equal(options.RefcountBits ?? 16, after.Info.RefcountBits);
        Assert.Equal(options.LazyRefcounts ?? false, after.Info.LazyRefcounts);
    }

    [Theory]
    [InlineData(512, "64")]
    [InlineData(4096, "1")]
    [InlineData(4096, "version 2")]
    public async Task Failure_of_any_request_leaves_a_sound_image(int cluster, string change)
    {
        var options = change == "version 2" ? new Qcow2AmendOptions { Version = 2 }
            : new Qcow2AmendOptions { RefcountBits = int.Parse(change, null) };
        for (int failing = 1, failures = 1; failures > 0; failing++)
        {
            failures = 0;
            var (disk, before) = await MakeAsync(cluster, 3);
            await using var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
            disk.FailChange = disk.Changes + failing;
            try
            {
                await image.AmendAsync(options);
            }
            catch (BlockException)
            {
                failures++;
            }

            disk.FailChange = 0;
            await CheckAsync(disk.Live.Clone(), before, leaksAllowed: true, $"after failure {failing}");
        }
    }

    [Fact]
    public async Task Count_that_does_not_fit_the_width_is_named_and_changes_nothing()
    {
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = 4096 }, Token);
        await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token))
        {
            // two compressed clusters share one of the file
            await image.WriteCompressedAsync(0, new byte[4096], Token);
            await image.WriteCompressedAsync(4096, new byte[4096], Token);
        }

        await using var again = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        var e = await Assert.ThrowsAsync<BlockException>(async () => await again.AmendAsync(new Qcow2AmendOptions { RefcountBits = 1 }));
        Assert.StartsWith("Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x", e.Message, StringComparison.Ordinal);
        Assert.EndsWith("has a refcount of 2", e.Message, StringComparison.Ordinal);
        Assert.Equal(16, again.Info.RefcountBits);
    }

    [Fact]
    public async Task Image_of_another_width_takes_no_writes_before_it_is_reopened()
    {
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = 1 << 20 }, Token);
        await using var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        await image.AmendAsync(new Qcow2AmendOptions { RefcountBits = 8 });
        await Assert.ThrowsAsync<BlockException>(async () => await image.WriteAsync(0, new byte[512], cancellationToken: Token));
    }

    [Fact]
    public async Task Power_cut_while_snapshots_of_version_2_are_completed_leaves_no_error()
    {
        var (disk, before) = await MakeAsync(4096, 2);
        await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token))
        {
            await image.Snapshots.CreateAsync("s", DateTimeOffset.UnixEpoch, Token);
        }

        await ShortenSnapshotAsync(disk);
        int start = disk.Log.Count;
        await using (var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token))
        {
            await image.AmendAsync(new Qcow2AmendOptions { Version = 3 });
        }

        var cut = new PowerCut(disk.Log);
        for (int position = start; position <= disk.Log.Count; position++)
        {
            for (int seed = 0; seed < 4; seed++)
            {
                await CheckAsync(cut.At(position, seed), before, leaksAllowed: true, $"cut at {position}, seed {seed}");
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Zeroes_of_a_snapshot_stay_zeroes_when_an_encrypted_image_becomes_version_2(bool old)
    {
        const int size = 8 * 65536;
        byte[] passphrase = "secret"u8.ToArray();
        var luks = new LuksOptions { Passphrase = passphrase, IterationTime = TimeSpan.FromMilliseconds(1) };
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(
            storage,
            new Qcow2CreateOptions
            {
                Size = size, BackingFile = "base", BackingFormat = "raw", OldAesEncryption = old, Encryption = old ? null : luks,
            },
            Token);
        var open = new Qcow2OpenOptions { Gate = new Backing(size), Passphrase = passphrase };
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), open, Token))
        {
            await image.WriteZeroesAsync(2 * 65536, 65536, ZeroFlags.MayUnmap, Token);
            await image.Snapshots.CreateAsync("s", DateTimeOffset.UnixEpoch, Token);
            await image.WriteAsync(2 * 65536, new byte[] { 1 }, cancellationToken: Token);
            await image.AmendAsync(new Qcow2AmendOptions { Version = 2 });
        }

        await using var again = await Qcow2Image.OpenAsync(storage.Kept(), open, Token);
        await again.Snapshots.ApplyAsync(again.Info.Snapshots[0], Token);
        byte[] found = new byte[3 * 65536];
        await again.ReadAsync(65536, found, Token);
        Assert.True(found.AsSpan(0, 65536).IndexOfAnyExcept((byte)7) < 0);
        Assert.True(found.AsSpan(65536, 65536).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(found.AsSpan(131072).IndexOfAnyExcept((byte)7) < 0);
        var report = await Qcow2Image.CheckAsync(storage.Clone(), Qcow2Repair.None, cancellationToken: Token);
        Assert.Equal((0, 0), (report.Corruptions, report.CheckErrors));
    }

    // as programs wrote entries before version 3: without the sizes that it requires
    private static async Task ShortenSnapshotAsync(CrashStorage disk)
    {
        byte[] header = new byte[104];
        await disk.ReadAsync(0, header, Token);
        long at = BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(64));
        byte[] entry = new byte[128];
        await disk.ReadAsync(at, entry, Token);
        int extra = BinaryPrimitives.ReadInt32BigEndian(entry.AsSpan(36));
        Assert.InRange(extra, 16, 64);
        entry.AsSpan(40 + extra, 2).CopyTo(entry.AsSpan(40));
        entry.AsSpan(42, 38).Clear();
        BinaryPrimitives.WriteInt32BigEndian(entry.AsSpan(36), 0);
        await disk.WriteAsync(at, entry, Token);
        await disk.FlushAsync(Token);
    }

    private sealed class Backing(int size) : IImageGate
    {
        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            var disk = MemoryDisk.Of(size);
            byte[] bytes = new byte[size];
            Array.Fill(bytes, (byte)7);
            await disk.WriteAsync(0, bytes, cancellationToken: cancellationToken);
            return disk;
        }
    }

    private static async Task<(CrashStorage Disk, byte[] Contents)> MakeAsync(int cluster, int version)
    {
        var disk = new CrashStorage();
        await Qcow2Image.CreateAsync(disk, new Qcow2CreateOptions { Size = Size, ClusterSize = cluster, Version = version }, Token);
        byte[] contents = new byte[Size];
        await using var image = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        for (int i = 0; i < Size / 512; i += 7)
        {
            contents.AsSpan(i * 512, 512).Fill((byte)(i + 1));
            await image.WriteAsync(i * 512, contents.AsMemory(i * 512, 512), cancellationToken: Token);
        }

        foreach (var (offset, length) in new[] { (0, 8192), (65536, 65536) })
        {
            contents.AsSpan(offset, length).Clear();
            await image.WriteZeroesAsync(offset, length, cancellationToken: Token);
        }

        await image.FlushAsync(Token);
        return (disk, contents);
    }

    private static async Task CheckAsync(PagedStorage image, byte[] contents, bool leaksAllowed, string when)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(image, Qcow2Repair.None, lines.Add, cancellationToken: Token);
        Assert.True(
            report.Corruptions == 0 && report.CheckErrors == 0 && (leaksAllowed || report.Leaks == 0),
            $"{when}: {string.Join("; ", lines)}");
        await using var device = await Qcow2Image.OpenAsync(image, new Qcow2OpenOptions { ReadOnly = true }, Token);
        byte[] found = new byte[Size];
        await device.ReadAsync(0, found, Token);
        Assert.True(found.AsSpan().SequenceEqual(contents), $"{when}: other contents");
    }
}
