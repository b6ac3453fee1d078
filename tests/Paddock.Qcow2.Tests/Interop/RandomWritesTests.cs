using Paddock.Block;

namespace Paddock.Qcow2.Tests.Interop;

/// <summary>
/// An image goes back and forth between QEMU and this engine; each writes at random, and after each turn the other reads every byte and
/// QEMU checks the image.
/// </summary>
public class RandomWritesTests
{
    private const int Rounds = 4;

    /// <summary>What qemu-img create takes after -o, and which backing file it gets.</summary>
    public static TheoryData<string, string> QemuImages() => new()
    {
        { "compat=0.10", "" },
        { "compat=0.10,cluster_size=512", "" },
        { "cluster_size=512,refcount_bits=1", "" },
        { "cluster_size=512,refcount_bits=64", "" },
        { "cluster_size=1k,refcount_bits=2", "" },
        { "cluster_size=4k,refcount_bits=4", "" },
        { "cluster_size=4k,refcount_bits=32,lazy_refcounts=on", "" },
        { "cluster_size=2M,refcount_bits=8", "" },
        { "lazy_refcounts=on", "" },
        { "compression_type=zstd", "" },
        { "compression_type=zlib,cluster_size=16k", "" },
        { "preallocation=metadata", "" },
        { "preallocation=falloc,cluster_size=4k", "" },
        { "preallocation=full,cluster_size=4k", "" },
        { "cluster_size=4k", "raw" },
        { "cluster_size=64k", "qcow2" },
        { "compat=0.10,cluster_size=16k", "qcow2" },
        { "extended_l2=on,cluster_size=16k", "" },
        { "extended_l2=on", "" },
        { "extended_l2=on,compression_type=zstd,cluster_size=128k", "raw" },
        { "extended_l2=on,cluster_size=2M", "raw" },
        { "extended_l2=on,cluster_size=16k,refcount_bits=1", "qcow2" },
        { "extended_l2=on,preallocation=metadata", "raw" },
        { "extended_l2=on,preallocation=falloc,cluster_size=32k", "" },
        { "data_file", "" },
        { "cluster_size=512,data_file", "" },
        { "cluster_size=2M,data_file", "" },
        { "cluster_size=4k,data_file", "qcow2" },
        { "data_file,preallocation=falloc", "" },
        { "data_file_raw=on,data_file", "" },
        { "cluster_size=4k,data_file_raw=on,lazy_refcounts=on,data_file", "" },
        { "extended_l2=on,data_file", "" },
        { "extended_l2=on,cluster_size=16k,data_file", "raw" },
        { "extended_l2=on,data_file_raw=on,data_file", "" },
    };

    /// <summary>Cluster size, and whether the data file must read as the disk.</summary>
    public static TheoryData<int, bool> OurDataFiles() => new()
    {
        { 512, false }, { 4096, true }, { 65536, false }, { 65536, true }, { 2 << 20, true },
    };

    /// <summary>Cluster size, refcount width, version, lazy refcounts, zstd, extended L2 entries.</summary>
    public static TheoryData<int, int, int, bool, bool, bool> OurImages() => new()
    {
        { 512, 1, 3, false, false, false },
        { 512, 64, 3, false, false, false },
        { 1024, 16, 2, false, false, false },
        { 4096, 2, 3, false, true, false },
        { 4096, 4, 3, true, false, false },
        { 65536, 8, 3, false, true, false },
        { 65536, 16, 2, false, false, false },
        { 65536, 32, 3, true, true, false },
        { 2 << 20, 16, 3, false, false, false },
        { 16384, 16, 3, false, true, true },
        { 65536, 1, 3, true, false, true },
        { 2 << 20, 64, 3, false, false, true },
    };

    [Theory]
    [MemberData(nameof(QemuImages))]
    public async Task An_image_that_QEMU_made_goes_back_and_forth(string options, string backing)
    {
        using var folder = new Folder();
        int length = options.Contains("2M", StringComparison.Ordinal) ? 9 << 20 : (3 << 20) - 512;
        byte[] mirror = new byte[length];
        int seed = TestSeed.Next();
        var random = new Random(seed);
        string given = options.Replace("data_file", "data_file=" + folder.Data, StringComparison.Ordinal)
            .Replace($"data_file={folder.Data}_raw", "data_file_raw", StringComparison.Ordinal);
        string[] words = ["create", "-q", "-f", "qcow2", "-o", given, folder.Image, length.ToString()];
        if (backing.Length > 0)
        {
            // shorter than the overlay: what lies beyond it reads as zeroes
            byte[] below = new byte[length / 3 * 2 / 512 * 512];
            random.NextBytes(below);
            await File.WriteAllBytesAsync(folder.Raw, below, TestContext.Current.CancellationToken);
            PeerImage.Run("qemu-img", "convert", "-f", "raw", "-O", backing, folder.Raw, folder.Backing);
            below.CopyTo(mirror, 0);
            words = [.. words[..^2], "-b", folder.Backing, "-F", backing, .. words[^2..]];
        }

        PeerImage.Run("qemu-img", words);
        await BackAndForthAsync(folder, mirror, random, hasBacking: backing.Length > 0, $"PADDOCK_SEED={seed}, {options}");
    }

    [Theory]
    [InlineData("extended_l2=on")]
    [InlineData("extended_l2=on,cluster_size=16k,refcount_bits=64")]
    public async Task A_snapshot_of_subclusters_stays_as_it_was_while_both_write(string options)
    {
        using var folder = new Folder();
        byte[] mirror = new byte[(3 << 20) - 512];
        int seed = TestSeed.Next();
        var random = new Random(seed);
        PeerImage.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, folder.Image, mirror.Length.ToString());
        QemuWrites(folder, mirror, random, hasBacking: false, compressedFirst: true);
        PeerImage.Run("qemu-img", "snapshot", "-c", "before", folder.Image);
        await File.WriteAllBytesAsync(folder.Backing, mirror, TestContext.Current.CancellationToken);
        await using (var storage = PeerImage.Load(folder.Image))
        {
            await using (var device = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()))
            {
                await WeWriteAsync(device, mirror, random, hasBacking: false);
            }

            PeerImage.Save(storage, folder.Image);
        }

        await BackAndForthAsync(folder, mirror, random, hasBacking: true, $"PADDOCK_SEED={seed}, {options}");
        PeerImage.Run("qemu-img", "convert", "-l", "before", "-O", "raw", folder.Image, folder.Raw);
        PeerImage.Run("qemu-img", "compare", "-f", "raw", "-F", "raw", folder.Raw, folder.Backing);
    }

    [Theory]
    [MemberData(nameof(OurImages))]
    public async Task An_image_that_we_made_goes_back_and_forth(int cluster, int bits, int version, bool lazy, bool zstd, bool extended)
    {
        using var folder = new Folder();
        int length = cluster > 65536 ? 9 << 20 : (3 << 20) - 512;
        int seed = TestSeed.Next();
        await using var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = length,
            ClusterSize = cluster,
            RefcountBits = bits,
            Version = version,
            LazyRefcounts = lazy,
            ExtendedL2 = extended,
            Compression = zstd ? Qcow2Compression.Zstd : Qcow2Compression.Zlib,
        });
        PeerImage.Save(storage, folder.Image);
        await BackAndForthAsync(
            folder, new byte[length], new Random(seed), hasBacking: false, 
            $"PADDOCK_SEED={seed}, clusters of {cluster}, {bits} bits, extended: {extended}");
    }

    [Theory]
    [MemberData(nameof(OurDataFiles))]
    public async Task Image_with_a_data_file_that_we_made_goes_back_and_forth(int cluster, bool raw)
    {
        using var folder = new Folder();
        int length = cluster > 65536 ? 9 << 20 : (3 << 20) - 512;
        int seed = TestSeed.Next();
        await using var storage = new MemoryStorage();
        await using var data = new MemoryStorage();
        var options = new Qcow2CreateOptions { Size = length, ClusterSize = cluster, DataFile = folder.Data, DataFileRaw = raw };
        await Qcow2Image.CreateAsync(storage, data, options, TestContext.Current.CancellationToken);
        PeerImage.Save(storage, folder.Image);
        PeerImage.Save(data, folder.Data);
        await BackAndForthAsync(
            folder, new byte[length], new Random(seed), hasBacking: false, $"PADDOCK_SEED={seed}, clusters of {cluster}, raw {raw}");
    }

    private static async Task BackAndForthAsync(Folder folder, byte[] mirror, Random random, bool hasBacking, string what)
    {
        for (int round = 0; round < Rounds; round++)
        {
            QemuWrites(folder, mirror, random, hasBacking, compressedFirst: round == 0);
            await using var storage = PeerImage.Load(folder.Image);
            await using var data = File.Exists(folder.Data) ? PeerImage.Load(folder.Data) : null;
            bool isRaw;
            var open = new Qcow2OpenOptions { Gate = new FileGate(), DataFile = data };
            await using (var device = await Qcow2Image.OpenAsync(storage, open))
            {
                isRaw = device.Info.DataFileRaw;
                byte[] found = new byte[mirror.Length];
                await device.ReadAsync(0, found);
                int same = found.AsSpan().CommonPrefixLength(mirror);
                Assert.True(same == mirror.Length, $"{what}, round {round}: byte {same} is not what QEMU wrote");
                await WeWriteAsync(device, mirror, random, hasBacking);
            }

            PeerImage.Save(storage, folder.Image);
            if (data is not null)
            {
                PeerImage.Save(data, folder.Data);
            }

            await File.WriteAllBytesAsync(folder.Raw, mirror, TestContext.Current.CancellationToken);
            if (isRaw)
            {
                // QEMU writes the last cluster whole, after the disk's end too
                byte[] bytes = File.ReadAllBytes(folder.Data);
                int same = bytes.AsSpan().CommonPrefixLength(mirror);
                Assert.True(same == mirror.Length, $"{what}, round {round}: byte {same} of the raw data file, which has {bytes.Length}");
            }

            var (code, output) = PeerImage.TryRun("qemu-img", "check", "-f", "qcow2", folder.Image);
            Assert.True(code == 0, $"{what}, round {round}: {output}");
            (code, output) = PeerImage.TryRun("qemu-img", "compare", "-f", "qcow2", "-F", "raw", folder.Image, folder.Raw);
            Assert.True(code == 0, $"{what}, round {round}: {output}");
        }
    }

    private static void QemuWrites(Folder folder, byte[] mirror, Random random, bool hasBacking, bool compressedFirst)
    {
        var words = new List<string> { "-d", "unmap", "-f", "qcow2" };
        if (compressedFirst && !hasBacking && !File.Exists(folder.Data) && mirror.Length <= 4 << 20)
        {
            // the last 64 KiB of the first half: no cluster of it is in use yet, unless all are (preallocation)
            int at = mirror.Length / 2 / 65536 * 65536;
            if (!PeerImage.Run("qemu-img", "map", "--output=json", folder.Image).Contains("\"offset\"", StringComparison.Ordinal))
            {
                mirror.AsSpan(at, 65536).Fill(0xc3);
                words.AddRange(["-c", $"write -c -P 0xc3 {at} 65536"]);
            }
        }

        for (int i = 0; i < 24; i++)
        {
            var (offset, length) = Range(mirror, random);
            int kind = random.Next(10);
            byte value = kind is 6 or 7 ? (byte)0 : (byte)random.Next(1, 256);
            if (kind == 8 && !hasBacking)
            {
                // whole clusters of any size: these read as zeroes afterwards
                offset = offset / (2 << 20) * (2 << 20);
                length = Math.Min(2 << 20, mirror.Length - offset);
                value = 0;
            }

            mirror.AsSpan(offset, length).Fill(value);
            words.Add("-c");
            words.Add(kind switch
            {
                6 => $"write -z {offset} {length}",
                7 => $"write -z -u {offset} {length}",
                8 when !hasBacking => $"write -z -u {offset} {length}",
                9 => $"aio_write -P {value} {offset} {length}",
                _ => $"write -P {value} {offset} {length}",
            });
            if (kind == 9)
            {
                // a later write may touch the same bytes: which of two at once comes last is nobody's promise
                words.AddRange(["-c", "aio_flush"]);
            }
        }

        words.Add(folder.Image);
        string output = PeerImage.Run("qemu-io", [.. words]);
        Assert.DoesNotContain("failed", output, StringComparison.Ordinal);
    }

    private static async Task WeWriteAsync(IBlockDevice device, byte[] mirror, Random random, bool hasBacking)
    {
        for (int i = 0; i < 24; i++)
        {
            var (offset, length) = Range(mirror, random);
            switch (random.Next(8))
            {
                case 0:
                    mirror.AsSpan(offset, length).Clear();
                    await device.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.None : ZeroFlags.MayUnmap);
                    break;
                case 1 when !hasBacking:
                    await device.DiscardAsync(offset, length);
                    await device.ReadAsync(offset, mirror.AsMemory(offset, length));
                    break;
                default:
                    random.NextBytes(mirror.AsSpan(offset, length));
                    await device.WriteAsync(offset, mirror.AsMemory(offset, length));
                    break;
            }
        }
    }

    private static (int Offset, int Length) Range(byte[] mirror, Random random)
    {
        int offset = random.Next(mirror.Length / 512) * 512;
        int most = random.Next(4) == 0 ? 400 : 20;
        return (offset, Math.Min(512 * (1 + random.Next(most)), mirror.Length - offset));
    }

    private sealed class FileGate : IImageGate
    {
        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            var storage = PeerImage.Load(name);
            return format == "qcow2"
                ? await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true }, cancellationToken)
                : new RawDevice(storage, readOnly: true);
        }
    }

    private sealed class Folder : IDisposable
    {
        private readonly string _path = Directory.CreateTempSubdirectory("paddock-interop-").FullName;

        public string Image => Path.Combine(_path, "image.qcow2");

        public string Backing => Path.Combine(_path, "backing");

        public string Data => Path.Combine(_path, "image.data");

        public string Raw => Path.Combine(_path, "image.raw");

        public void Dispose() => Directory.Delete(_path, recursive: true);
    }
}
