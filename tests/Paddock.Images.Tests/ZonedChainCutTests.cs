using System.Globalization;
using Paddock.Block;
using Paddock.Images.Chains;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Images.Tests;

/// <summary>
/// The power goes at any request of the commit or the rebase of a zoned overlay: its data, pointers, conditions and extensions stay, and
/// the same can be done again. PADDOCK_ROUNDS sets the number of random overlays.
/// </summary>
public class ZonedChainCutTests
{
    private const int Zone = 64 << 10, Count = 6, Size = Count * Zone, Extension = 64;

    [Theory]
    [InlineData(ZoneLayout.A, 4096, true)]
    [InlineData(ZoneLayout.C, 512, true)]
    [InlineData(ZoneLayout.A, 65536, true)]
    [InlineData(ZoneLayout.A, 4096, false)]
    [InlineData(ZoneLayout.B, 512, false)]
    public async Task Power_cut_loses_nothing(ZoneLayout layout, int cluster, bool commits)
    {
        int rounds = int.Parse(Environment.GetEnvironmentVariable("PADDOCK_ROUNDS") ?? "1", CultureInfo.InvariantCulture);
        int first = TestSeed.Next();
        for (int round = 0; round < rounds; round++)
        {
            int seed = first + round;
            Func<ImageNode, ValueTask> work = commits ? CommitAsync : FlattenAsync;
            for (int at = 1; await CutAsync(seed, layout, cluster, at, work, commits); at += 1 + (at / 12))
            {
            }
        }
    }

    /// <returns>Whether the power went before the end.</returns>
    private static async Task<bool> CutAsync(
        int seed, ZoneLayout layout, int cluster, int at, Func<ImageNode, ValueTask> work, bool commits)
    {
        var (top, bottom) = await MakeAsync(new Random(seed), layout, cluster);
        string expected = await StateAsync(top, bottom);
        CrashStorage above = new(top), below = new(bottom);
        using var power = new Power(at);
        try
        {
            var node = await OpenAsync(new Powered(above, power), new Powered(below, power));
            await node.UseAsync(() => work(node));
        }
        catch (Exception e) when (e is BlockException or ToolException)
        {
            Assert.True(power.IsGone, e.ToString());
        }

        (top, bottom) = (above.Reboot(seed + at), below.Reboot(seed - at));
        AssertSame(expected, await StateAsync(top, bottom), $"seed {seed}, cut at {at}");
        using var steady = new Power(int.MaxValue);
        var again = await OpenAsync(new Powered(top, steady), new Powered(bottom, steady));
        await again.UseAsync(() => work(again));
        AssertSame(expected, await StateAsync(top, bottom), $"seed {seed}, cut at {at}, done again");
        if (commits)
        {
            AssertSame(expected, await StateAsync(bottom, null), $"seed {seed}, cut at {at}, base");
        }

        Assert.Equal(0, (await Qcow2Image.CheckAsync(top, Qcow2Repair.None)).Corruptions);
        Assert.Equal(0, (await Qcow2Image.CheckAsync(bottom, Qcow2Repair.None)).Corruptions);
        return power.IsGone;
    }

    private static async ValueTask CommitAsync(ImageNode top)
    {
        var below = top.Backing!;
        await new CommitWork(top.Device, below.Device, ZoneChain.BelowZones(below)).RunAsync(0, null, TimeProvider.System);
        await ZoneChain.CommitZonesAsync(top, below);
        await top.Qcow2!.EmptyAsync();
    }

    private static async ValueTask FlattenAsync(ImageNode top)
    {
        await new RebaseWork(top, top.Backing, null, compress: false).RunAsync(null);
        await top.Qcow2!.SetBackingFileAsync(null, null);
    }

    private static async Task<(PagedStorage Top, PagedStorage Bottom)> MakeAsync(Random random, ZoneLayout layout, int cluster)
    {
        var (top, bottom) = (new PagedStorage(), new PagedStorage());
        var zones = new ZonedCreateOptions { Layout = layout, ZoneSize = Zone, ConventionalZones = 1 };
        await Qcow2Image.CreateAsync(bottom, new Qcow2CreateOptions { Size = Size, ClusterSize = cluster, Zoned = zones });
        await using (var device = await Qcow2Image.OpenAsync(bottom, new Qcow2OpenOptions()))
        {
            await ChangeAsync(device, random, 12);
        }

        await using (var node = NodeOf(await Qcow2Image.OpenAsync(bottom, new Qcow2OpenOptions { ReadOnly = true }), bottom, null))
        {
            var clone = (await ZoneClone.OfAsync(node))!;
            var options = clone.Apply(
                new Qcow2CreateOptions { Size = Size, ClusterSize = cluster, BackingFile = "base", BackingFormat = "qcow2" });
            await Qcow2Image.CreateAsync(top, options);
            await clone.FinishAsync(top, options);
        }

        await using var overlay = await OpenAsync(top, bottom);
        await ChangeAsync(overlay.Device, random, 14);
        return (top, bottom);
    }

    private static async Task ChangeAsync(IBlockDevice disk, Random random, int requests)
    {
        for (int i = 0; i < requests; i++)
        {
            int zone = random.Next(Count), length = 512 * random.Next(1, 60);
            byte value = (byte)random.Next(1, 255);
            try
            {
                await (random.Next(9) switch
                {
                    0 or 1 => disk.Zones!.ManageAsync(ZoneAction.Reset, (long)zone * Zone, Zone),
                    2 => disk.Zones!.ManageAsync(ZoneAction.Finish, (long)zone * Zone, Zone),
                    3 => disk.Zones!.Attributes!.WriteExtensionAsync(zone, Filled(Extension, value)),
                    4 => disk.Zones!.Attributes!.SetConditionAsync(zone, ZoneCondition.ReadOnly),
                    5 => disk.WriteAsync(512 * random.Next(64), Filled(length, value)),
                    _ => new ValueTask(disk.Zones!.AppendAsync((long)zone * Zone, Filled(length, value)).AsTask()),
                });
            }
            catch (ZoneException)
            {
                // refused: nothing has changed
            }
        }

        await disk.FlushAsync();
    }

    private static async Task<string> StateAsync(PagedStorage top, PagedStorage? bottom)
    {
        await using var node = bottom is null
            ? NodeOf(await Qcow2Image.OpenAsync(top.Clone(), new Qcow2OpenOptions()), top, null)
            : await OpenAsync(top.Clone(), bottom.Clone());
        var zones = new ZoneDescriptor[Count];
        await node.Device.Zones!.ReportAsync(0, zones);
        var bytes = new byte[Size];
        await node.Device.ReadAsync(0, bytes);
        var text = new List<string>();
        for (int i = 0; i < Count; i++)
        {
            var extension = new byte[Extension];
            await node.Device.Zones.Attributes!.ReadExtensionAsync(i, extension);
            int data = bytes.AsSpan(i * Zone, Zone).ToArray().Aggregate(17, static (hash, b) => unchecked((hash * 31) + b));
            text.Add($"{zones[i].Condition}@{zones[i].WritePointer}/{extension[0]}/{data}");
        }

        return string.Join(' ', text);
    }

    private static async Task<ImageNode> OpenAsync(IStorage above, IStorage below)
    {
        var gate = new Gate(below);
        var image = await Qcow2Image.OpenAsync(above, new Qcow2OpenOptions { Gate = gate });
        return NodeOf(image, above, gate.Opened);
    }

    private static ImageNode NodeOf(IQcow2Device image, IStorage storage, ImageNode? backing) => new()
    {
        Driver = "qcow2", Filename = "image", Device = image, Storage = storage, Qcow2 = image, Backing = backing, Protocol = "test",
    };

    private static void AssertSame(string expected, string found, string what)
        => Assert.True(expected == found, $"{what}:\n{expected}\n{found}");

    private static byte[] Filled(int length, byte value)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private sealed class Gate(IStorage bottom) : IImageGate
    {
        public ImageNode? Opened { get; private set; }

        public async ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
        {
            var image = await Qcow2Image.OpenAsync(bottom, new Qcow2OpenOptions(), cancellationToken);
            Opened = NodeOf(image, bottom, null);
            return image;
        }
    }
}
