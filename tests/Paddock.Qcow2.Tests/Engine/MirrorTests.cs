using Paddock.Block;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>
/// Random requests go to an image and to a plain array alike; both must read the same, and qemu-img must find the image sound.
/// </summary>
public class MirrorTests
{
    public static TheoryData<int, int, int, bool, bool> Configurations { get; } = MakeConfigurations();

    [Theory]
    [MemberData(nameof(Configurations))]
    public async Task Random_requests_match_a_raw_disk(int clusterSize, int refcountBits, int version, bool backing, bool lazy)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        int size = Math.Clamp(clusterSize * 40, 65536, 24 << 20) + 512;
        var mirror = new byte[size];
        var storage = new KeptStorage(new MemoryStorage());
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = size,
            ClusterSize = clusterSize,
            RefcountBits = refcountBits,
            Version = version,
            LazyRefcounts = lazy,
            BackingFile = backing ? "base.raw" : null,
            BackingFormat = backing ? "raw" : null,
        });
        var gate = new ArrayGate(backing ? new byte[size / 2 + 512] : []);
        if (backing)
        {
            random.NextBytes(gate.Bytes);
            gate.Bytes.CopyTo(mirror, 0);
        }

        for (int session = 0; session < 4; session++)
        {
            await using var image = await Qcow2Image.OpenAsync(
                storage, new Qcow2OpenOptions { Gate = backing ? gate : DenyGate.Instance, L2CacheBytes = 1, RefcountCacheBytes = 1 });
            for (int i = 0; i < 150; i++)
            {
                await Step(image, mirror, random, clusterSize, version == 2 && backing);
            }

            await Compare(image, mirror, seed);
        }

        using var file = QemuImg.Save(storage);
        if (backing)
        {
            File.WriteAllBytes(Path.Combine(Path.GetDirectoryName(file.Path)!, "base.raw"), gate.Bytes);
        }

        var (code, output) = QemuImg.Run("qemu-img", "check", file.Path);
        Assert.True(code == 0, $"seed {seed}: {output}");
        using var raw = new TemporaryFile();
        QemuImg.Run("qemu-img", "convert", "-O", "raw", file.Path, raw.Path);
        Assert.True(File.ReadAllBytes(raw.Path).AsSpan().SequenceEqual(mirror), $"seed {seed}: qemu-img reads something else");
    }

    private static async Task Step(IQcow2Device image, byte[] mirror, Random random, int clusterSize, bool noDiscard)
    {
        int length = Math.Min(random.Next(3) switch { 0 => 512, 1 => random.Next(1, 4 * clusterSize), _ => clusterSize }, mirror.Length);
        int offset = random.Next(0, mirror.Length - length + 1);
        if (random.Next(2) == 0)
        {
            offset = offset / clusterSize * clusterSize;
            length = Math.Min(length, mirror.Length - offset);
        }

        switch (random.Next(12))
        {
            case 0:
                await image.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                mirror.AsSpan(offset, length).Clear();
                break;
            case 1 when !noDiscard:
                int first = (offset + clusterSize - 1) / clusterSize * clusterSize;
                int last = (offset + length) == mirror.Length ? mirror.Length : (offset + length) / clusterSize * clusterSize;
                await image.DiscardAsync(offset, length);
                if (last > first)
                {
                    mirror.AsSpan(first, last - first).Clear();
                }

                break;
            case 2:
                await image.FlushAsync();
                break;
            case 4 or 5:
                int source = random.Next(0, mirror.Length - length + 1);
                source = random.Next(3) == 0 ? source
                    : Math.Min(mirror.Length - length, (source / clusterSize * clusterSize) + (offset % clusterSize));
                await image.RangeCopy!.CopyAsync(source, offset, length);
                mirror.AsSpan(source, length).CopyTo(mirror.AsSpan(offset));
                break;
            case 3:
                var read = new byte[length];
                await image.ReadAsync(offset, read);
                Assert.True(read.AsSpan().SequenceEqual(mirror.AsSpan(offset, length)));
                break;
            default:
                var data = new byte[length];
                random.NextBytes(data);
                await image.WriteAsync(offset, data, random.Next(20) == 0 ? WriteFlags.Fua : WriteFlags.None);
                data.CopyTo(mirror, offset);
                break;
        }
    }

    private static async Task Compare(IQcow2Device image, byte[] mirror, int seed)
    {
        var all = new byte[mirror.Length];
        await image.ReadAsync(0, all);
        int at = all.AsSpan().CommonPrefixLength(mirror);
        Assert.True(at == all.Length, $"seed {seed}: byte {at} differs");
    }

    private static TheoryData<int, int, int, bool, bool> MakeConfigurations()
    {
        var data = new TheoryData<int, int, int, bool, bool>();
        foreach (int cluster in new[] { 512, 4096, 65536, 2 << 20 })
        {
            foreach (bool backing in new[] { false, true })
            {
                data.Add(cluster, 16, 3, backing, false);
                data.Add(cluster, 16, 2, backing, false);
                data.Add(cluster, 16, 3, backing, true);
            }

            foreach (int bits in new[] { 1, 2, 4, 8, 32, 64 })
            {
                data.Add(cluster, bits, 3, false, false);
            }
        }

        return data;
    }

    private sealed class ArrayGate(byte[] bytes) : IImageGate
    {
        public byte[] Bytes => bytes;

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            var storage = new MemoryStorage();
            await storage.WriteAsync(0, bytes, cancellationToken);
            return new RawDevice(storage, readOnly: true);
        }
    }
}
