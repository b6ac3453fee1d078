using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Images.Tests;

/// <summary>The power goes at any request of a commit or a rebase: nothing is lost, and the same can be done again.</summary>
public class ChainCutTests
{
    private const int Size = 512 << 10;

    [Theory]
    [InlineData(4096, 4096, 3)]
    [InlineData(4096, 65536, 3)]
    [InlineData(65536, 512, 3)]
    [InlineData(4096, 4096, 2)]
    public async Task Power_cut_in_a_commit_loses_nothing(int topCluster, int baseCluster, int version)
    {
        int seed = TestSeed.Next();
        for (int at = 1; ; at += at < 30 ? 1 : 1 + (at / 6))
        {
            var chain = await Chain.CreateAsync(seed, topCluster, baseCluster, version);
            byte[] expected = await chain.ReadAsync();
            bool wasCut = await chain.CutAsync(at, CommitAsync);
            AssertSame(expected, await chain.ReadAsync(), $"seed {seed}, cut at {at}");
            await chain.RunAsync(CommitAsync);
            AssertSame(expected, await chain.ReadAsync(), $"seed {seed}, cut at {at}, done again");
            AssertSame(expected, await chain.ReadBaseAsync(), $"seed {seed}, cut at {at}, base");
            await chain.CheckAsync();
            if (!wasCut)
            {
                return;
            }
        }
    }

    [Theory]
    [InlineData(4096, 4096, 3)]
    [InlineData(65536, 4096, 3)]
    [InlineData(4096, 4096, 2)]
    public async Task Power_cut_in_a_rebase_loses_nothing(int topCluster, int baseCluster, int version)
    {
        int seed = TestSeed.Next();
        for (int at = 1; ; at += at < 30 ? 1 : 1 + (at / 6))
        {
            var chain = await Chain.CreateAsync(seed, topCluster, baseCluster, version);
            byte[] expected = await chain.ReadAsync();
            bool wasCut = await chain.CutAsync(at, RebaseAsync);
            AssertSame(expected, await chain.ReadAsync(), $"seed {seed}, cut at {at}");
            await chain.RunAsync(RebaseAsync);
            Assert.Equal("next", await chain.BackingAsync());
            AssertSame(expected, await chain.ReadAsync(), $"seed {seed}, cut at {at}, done again");
            await chain.CheckAsync();
            if (!wasCut)
            {
                return;
            }
        }
    }

    private static void AssertSame(byte[] expected, byte[] found, string what)
        => Assert.True(expected.AsSpan().SequenceEqual(found), what);

    private static async ValueTask CommitAsync(ImageNode top, ImageNode next)
    {
        await new CommitWork(top.Device, top.Backing!.Device, top.Backing.Device).RunAsync(0, null, TimeProvider.System);
        await top.Qcow2!.EmptyAsync();
    }

    private static async ValueTask RebaseAsync(ImageNode top, ImageNode next)
    {
        await new RebaseWork(top, top.Backing, next, compress: false).RunAsync(null);
        await top.Qcow2!.SetBackingFileAsync("next", "qcow2");
    }

    /// <summary>An overlay, its backing image "base" and another image "next", each on a disk that can lose its power.</summary>
    private sealed class Chain(PagedStorage top, PagedStorage bottom, PagedStorage next, int seed)
    {
        private PagedStorage _top = top, _base = bottom;

        public static async Task<Chain> CreateAsync(int seed, int topCluster, int baseCluster, int version)
        {
            var random = new Random(seed);
            var (top, bottom, next) = (new PagedStorage(), new PagedStorage(), new PagedStorage());
            await Qcow2Image.CreateAsync(bottom, new Qcow2CreateOptions { Size = Size / 2, ClusterSize = baseCluster, Version = version });
            await Qcow2Image.CreateAsync(next, new Qcow2CreateOptions { Size = Size, ClusterSize = baseCluster });
            await Qcow2Image.CreateAsync(
                top,
                new Qcow2CreateOptions
                {
                    Size = Size, ClusterSize = topCluster, Version = version, BackingFile = "base", BackingFormat = "qcow2",
                });
            var chain = new Chain(top, bottom, next, seed);
            await FillAsync(await Qcow2Image.OpenAsync(bottom, new Qcow2OpenOptions()), random);
            await FillAsync(await Qcow2Image.OpenAsync(next, new Qcow2OpenOptions()), random);
            await FillAsync((await chain.OpenAsync(top, bottom)).Device, random);
            return chain;
        }

        public async Task RunAsync(Func<ImageNode, ImageNode, ValueTask> work)
        {
            // the disks in memory take one request at a time
            using var power = new Power(int.MaxValue);
            var node = await OpenAsync(new Powered(_top, power), new Powered(_base, power));
            await using var other = await OpenNextAsync();
            await node.UseAsync(() => work(node, other));
        }

        /// <summary>Does the work until the power goes; false if it did not.</summary>
        public async Task<bool> CutAsync(int at, Func<ImageNode, ImageNode, ValueTask> work)
        {
            CrashStorage above = new(_top), below = new(_base);
            using var power = new Power(at);
            try
            {
                var node = await OpenAsync(new Powered(above, power), new Powered(below, power));
                await using var other = await OpenNextAsync();
                await node.UseAsync(() => work(node, other));
            }
            catch (Exception e) when (e is BlockException or ToolException)
            {
                Assert.True(power.IsGone, e.ToString());
            }

            (_top, _base) = (above.Reboot(seed + at), below.Reboot(seed - at));
            return power.IsGone;
        }

        public async Task<byte[]> ReadAsync()
        {
            await using var node = await OpenAsync(_top.Clone(), _base.Clone());
            return await AllAsync(node.Device);
        }

        public async Task<byte[]> ReadBaseAsync()
        {
            await using var image = await Qcow2Image.OpenAsync(_base.Clone(), new Qcow2OpenOptions());
            return await AllAsync(image);
        }

        public async Task<string?> BackingAsync()
        {
            await using var node = await OpenAsync(_top.Clone(), _base.Clone());
            return node.Qcow2!.Info.BackingFile;
        }

        public async Task CheckAsync()
        {
            Assert.Equal(0, (await Qcow2Image.CheckAsync(_top, Qcow2Repair.None)).Corruptions);
            Assert.Equal(0, (await Qcow2Image.CheckAsync(_base, Qcow2Repair.None)).Corruptions);
        }

        private static async Task FillAsync(IBlockDevice device, Random random)
        {
            await using (device)
            {
                for (int i = 0; i < 12; i++)
                {
                    long offset = random.NextInt64(device.Length - 512), length = Math.Min(device.Length - offset, random.Next(1, 60000));
                    switch (random.Next(4))
                    {
                        case 0:
                            await device.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                            break;
                        default:
                            var data = new byte[length];
                            Array.Fill(data, (byte)random.Next(1, 255));
                            await device.WriteAsync(offset, data);
                            break;
                    }
                }
            }
        }

        private static async Task<byte[]> AllAsync(IBlockDevice device)
        {
            var bytes = new byte[device.Length];
            await device.ReadAsync(0, bytes);
            return bytes;
        }

        private async Task<ImageNode> OpenAsync(IStorage above, IStorage below)
        {
            var gate = new Gate(below, next.Clone());
            var image = await Qcow2Image.OpenAsync(above, new Qcow2OpenOptions { Gate = gate });
            return new ImageNode
            {
                Driver = "qcow2", Filename = "top", Device = image, Storage = above, Qcow2 = image, Backing = gate.Opened,
                Protocol = "test",
            };
        }

        private async Task<ImageNode> OpenNextAsync()
        {
            var storage = next.Clone();
            var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions { ReadOnly = true });
            return new ImageNode
            {
                Driver = "qcow2", Filename = "next", Device = image, Storage = storage, Qcow2 = image, Protocol = "test",
            };
        }
    }

    private sealed class Gate(IStorage bottom, IStorage next) : IImageGate
    {
        public ImageNode? Opened { get; private set; }

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            var storage = name == "base" ? bottom : next;
            var image = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), cancellationToken);
            Opened = new ImageNode
            {
                Driver = "qcow2", Filename = name, Device = image, Storage = storage, Qcow2 = image, Protocol = "test",
            };
            return image;
        }
    }
}
