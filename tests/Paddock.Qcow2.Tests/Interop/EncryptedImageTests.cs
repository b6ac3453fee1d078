using Paddock.Block;
using Paddock.Crypto;

namespace Paddock.Qcow2.Tests.Interop;

/// <summary>Encrypted images beside QEMU, both ways: random operations, every byte compared, both judge the image.</summary>
public sealed class EncryptedImageTests : IDisposable
{
    private const int DiskBytes = 6 << 20;
    private const string Secret = "secret,id=s,data=open sesame";

    private static readonly byte[] Passphrase = "open sesame"u8.ToArray();

    private readonly string _folder = Directory.CreateTempSubdirectory("encrypted").FullName;

    public static TheoryData<Qcow2CreateOptions> Created => new()
    {
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, ClusterSize = 512 },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, ClusterSize = 2 << 20, RefcountBits = 1 },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks with { Mode = "cbc", IvGenerator = "essiv" }, Version = 2 },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks with { Cipher = "serpent-128" }, LazyRefcounts = true },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, Preallocation = Preallocation.Metadata },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, Preallocation = Preallocation.Full, Version = 2 },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, ExtendedL2 = true },
        new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks, ExtendedL2 = true, Preallocation = Preallocation.Falloc },
        new Qcow2CreateOptions { Size = DiskBytes, OldAesEncryption = true },
        new Qcow2CreateOptions { Size = DiskBytes, OldAesEncryption = true, ClusterSize = 4096, Version = 2 },
    };

    private static LuksOptions Luks => new() { Passphrase = Passphrase, IterationTime = TimeSpan.FromMilliseconds(1) };

    private string Image => Path.Combine(_folder, "disk.qcow2");

    private string Raw => Path.Combine(_folder, "raw");

    private string ImageOptions => $"driver=qcow2,encrypt.key-secret=s,file.filename={Image}";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Created))]
    public async Task Image_is_read_by_qemu_after_random_operations(Qcow2CreateOptions options)
    {
        var random = new Random(TestSeed.Next());
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, options, TestContext.Current.CancellationToken);
        var model = new byte[DiskBytes];
        for (int round = 0; round < 3; round++)
        {
            await using (var image = await Qcow2Image.OpenAsync(
                new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = Passphrase }, TestContext.Current.CancellationToken))
            {
                await RandomOperationsAsync(image, model, random, 120);
            }

            await JudgeAsync(storage, model);
        }
    }

    [Theory]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1", true)]
    [InlineData("encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1,encrypt.cipher-mode=cbc,cluster_size=4k", true)]
    [InlineData("encrypt.format=aes,encrypt.key-secret=s", false)]
    [InlineData("encryption=on,encrypt.key-secret=s,compat=0.10,cluster_size=1k", false)]
    public async Task Image_of_qemu_is_read_and_changed(string options, bool isLuks)
    {
        var random = new Random(TestSeed.Next());
        var model = new byte[DiskBytes];
        random.NextBytes(model.AsSpan(0, DiskBytes / 2));
        File.WriteAllBytes(Raw, model);
        PeerImage.Run("qemu-img", "create", "--object", Secret, "-q", "-f", "qcow2", "-o", options, Image, DiskBytes.ToString());
        PeerImage.Run("qemu-img", "convert", "-n", "--object", Secret, "--target-image-opts", "-f", "raw", Raw, ImageOptions);
        var storage = PeerImage.Load(Image);
        await using (var image = await Qcow2Image.OpenAsync(
            new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = Passphrase }, TestContext.Current.CancellationToken))
        {
            Assert.Equal(isLuks ? "LUKS" : "AES", image.Info.Encryption);
            var all = new byte[DiskBytes];
            await image.ReadAsync(0, all, TestContext.Current.CancellationToken);
            Assert.True(model.AsSpan().SequenceEqual(all));
            await RandomOperationsAsync(image, model, random, 200);
        }

        await JudgeAsync(storage, model);
    }

    [Fact]
    public async Task Wrong_or_missing_passphrase_opens_nothing_but_the_information()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks }, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<PassphraseRequiredException>(
            async () => await Qcow2Image.OpenAsync(new KeptStorage(storage), new Qcow2OpenOptions()));
        var wrong = await Assert.ThrowsAsync<BlockException>(
            async () => await Qcow2Image.OpenAsync(new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = "x"u8.ToArray() }));
        Assert.Equal("Invalid password, cannot unlock any keyslot", wrong.Message);
        await using (var image = await Qcow2Image.OpenAsync(
            new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = Passphrase }, TestContext.Current.CancellationToken))
        {
            await image.WriteAsync(0, new byte[512], cancellationToken: TestContext.Current.CancellationToken);
        }

        await using var info = await Qcow2Image.OpenAsync(
            new KeptStorage(storage), new Qcow2OpenOptions { ForInfo = true, ReadOnly = true }, TestContext.Current.CancellationToken);
        Assert.Equal(8, info.Info.Luks!.Header.Slots.Length);
        Assert.NotNull(info.Info.Unsupported);
        await Assert.ThrowsAsync<PassphraseRequiredException>(async () => await info.ReadAsync(0, new byte[512]));
    }

    [Fact]
    public async Task Compressed_write_is_rejected()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks }, TestContext.Current.CancellationToken);
        await using var image = await Qcow2Image.OpenAsync(
            new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = Passphrase }, TestContext.Current.CancellationToken);
        var error = await Assert.ThrowsAsync<BlockException>(async () => await image.WriteCompressedAsync(0, new byte[65536]));
        Assert.Equal("Compression and encryption not supported at the same time", error.Message);
    }

    [Fact]
    public async Task Concurrent_writes_to_parts_of_a_sector_keep_each_other()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = DiskBytes, Encryption = Luks with { Mode = "cbc" } },
            TestContext.Current.CancellationToken);
        await using var image = await Qcow2Image.OpenAsync(
            new KeptStorage(storage), new Qcow2OpenOptions { Passphrase = Passphrase }, TestContext.Current.CancellationToken);
        await image.WriteAsync(0, new byte[65536]);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(i => Task.Run(async () =>
        {
            var mine = Enumerable.Repeat((byte)(i + 1), 16).ToArray();
            for (int round = 0; round < 20; round++)
            {
                await image.WriteAsync(i * 16, mine);
                var back = new byte[16];
                await image.ReadAsync(i * 16, back);
                Assert.Equal(mine, back);
            }
        })));
    }

    private static async Task RandomOperationsAsync(IQcow2Device image, byte[] model, Random random, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int unit = random.Next(3) switch { 0 => 1, 1 => 512, _ => 4096 };
            int length = random.Next(1, 1 + (random.Next(8) == 0 ? DiskBytes / 2 : 200_000));
            length = Math.Max(unit, length / unit * unit);
            int offset = random.Next((DiskBytes - length) / unit) * unit;
            switch (random.Next(6))
            {
                case 0:
                    await image.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(offset, length).Clear();
                    break;
                case 1:
                    var read = new byte[length];
                    await image.ReadAsync(offset, read);
                    Assert.True(model.AsSpan(offset, length).SequenceEqual(read), $"read {offset} {length}");
                    break;
                case 2 when random.Next(4) == 0:
                    await image.FlushAsync();
                    break;
                default:
                    var data = new byte[length];
                    random.NextBytes(data);
                    await image.WriteAsync(offset, data);
                    data.CopyTo(model.AsSpan(offset));
                    break;
            }
        }
    }

    private async Task JudgeAsync(MemoryStorage storage, byte[] model)
    {
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None);
        Assert.Equal((0, 0, 0), (report.Corruptions, report.Leaks, report.CheckErrors));
        File.WriteAllBytes(Raw, model);
        PeerImage.Save(storage, Image);
        PeerImage.Run("qemu-img", "check", "--object", Secret, "--image-opts", ImageOptions);
        string compared = PeerImage.Run(
            "qemu-img", "compare", "--object", Secret, "--image-opts", ImageOptions, $"driver=raw,file.filename={Raw}");
        Assert.Contains("identical", compared, StringComparison.Ordinal);
    }
}
