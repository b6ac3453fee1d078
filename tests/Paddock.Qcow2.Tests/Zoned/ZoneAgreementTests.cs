using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>A command fails at each of its requests, with and without effect on the storage: memory and storage agree afterwards.</summary>
public class ZoneAgreementTests
{
    private const int Zone = 256 << 10, Zones = 8, Written = 8192;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, bool> Commands()
    {
        var data = new TheoryData<string, bool>();
        foreach (string command in new[] { "reset", "reset all", "finish", "grow", "shrink", "read-only", "offline", "extension" })
        {
            data.Add(command, false);
            data.Add(command, true);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Memory_and_storage_agree_after_a_failed_command(string command, bool takesEffect)
    {
        bool failed = true;
        for (int step = 1; failed; step++)
        {
            var (disk, device) = await MakeAsync();
            disk.FaultsMayTakeEffect = takesEffect;
            disk.FailChange = disk.Changes + step;
            failed = await Record.ExceptionAsync(() => RunAsync(device, command).AsTask()) is BlockException || disk.Faults > 0;
            disk.FailChange = 0;
            Assert.Equal(
                await DescribeAsync(device, flushed: command != "finish"), await ReopenedAsync(disk, flushed: command != "finish"));

            // and what is flushed from here on is what the next opening finds
            await device.FlushAsync(Token);
            Assert.Equal(await DescribeAsync(device, flushed: true), await ReopenedAsync(disk, flushed: true));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public async Task Zone_whose_reset_failed_is_never_overwritten_under_its_old_pointer(int seed)
    {
        var (disk, device) = await MakeAsync(seed);
        (disk.FaultOneIn, disk.FaultsMayTakeEffect) = (1, true);
        await Assert.ThrowsAsync<BlockException>(() => device.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone, Token).AsTask());
        disk.FaultOneIn = 0;
        long pointer = (await ReportAsync(device))[1].WritePointer;
        int from = disk.Log.Count;

        // more than the zone's buffer takes, so that it reaches the storage
        await device.WriteAsync(pointer, Enumerable.Repeat((byte)9, 128 << 10).ToArray(), cancellationToken: Token);
        var cut = new PowerCut(disk.Log);
        for (int position = from; position <= disk.Log.Count; position++)
        {
            for (int cutSeed = 0; cutSeed < 20; cutSeed++)
            {
                await using var after = await OpenAsync(cut.At(position, cutSeed));
                var zone = (await ReportAsync(after))[1];
                var data = new byte[zone.WritePointer - zone.Start];
                await after.ReadAsync(zone.Start, data, Token);
                Assert.True(data.Length is 0 or Written && !data.AsSpan().ContainsAnyExcept((byte)1), $"cut at {position}, seed {cutSeed}");
            }
        }
    }

    private static async Task<(CrashStorage Disk, IBlockDevice Device)> MakeAsync(int seed = 0)
    {
        var start = new PagedStorage();
        await Qcow2Image.CreateAsync(
            start, new Qcow2CreateOptions { Size = Zones * Zone, ClusterSize = 4096,
            Zoned = new ZonedCreateOptions { ZoneSize = Zone } }, Token);
        var disk = new CrashStorage(start, seed) { FlushFailureLoses = false };
        var device = await OpenAsync(disk);
        for (int zone = 0; zone < 4; zone++)
        {
            await device.WriteAsync(zone * Zone, Enumerable.Repeat((byte)1, Written).ToArray(), cancellationToken: Token);
        }

        await device.FlushAsync(Token);
        return (disk, device);
    }

    private static async Task<IBlockDevice> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), Token);

    private static ValueTask RunAsync(IBlockDevice device, string command)
    {
        var attributes = device.Zones!.Attributes!;
        return command switch
        {
            "reset" => device.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone, Token),
            "reset all" => device.Zones!.ManageAsync(ZoneAction.Reset, 0, Zones * Zone, Token),
            "finish" => device.Zones!.ManageAsync(ZoneAction.Finish, Zone, Zone, Token),
            "grow" => device.ResizeAsync(2 * Zones * Zone, cancellationToken: Token),
            "shrink" => device.ResizeAsync(6 * Zone, cancellationToken: Token),
            "read-only" => attributes.SetConditionAsync(1, ZoneCondition.ReadOnly, Token),
            "offline" => attributes.SetConditionAsync(1, ZoneCondition.Offline, Token),
            _ => attributes.WriteExtensionAsync(6, Enumerable.Repeat((byte)5, attributes.ExtensionBytes).ToArray(), false, Token),
        };
    }

    private static async Task<string> ReopenedAsync(CrashStorage disk, bool flushed)
    {
        await using var device = await OpenAsync(disk.Live.Clone());
        return await DescribeAsync(device, flushed);
    }

    // a zone that is open in memory is closed after opening; a finish reaches the storage with the next flush
    private static async Task<string> DescribeAsync(IBlockDevice device, bool flushed)
    {
        var zones = await ReportAsync(device);
        return $"{device.Length}: "
            + string.Join(" ", zones.Select((z, i) => !flushed && i == 1 ? "-" : Describe(z, device.Zones!.Attributes!.HasExtension(i))));
    }

    private static string Describe(in ZoneDescriptor zone, bool extended)
    {
        var condition = zone.Condition == ZoneCondition.ImplicitlyOpen ? ZoneCondition.Closed : zone.Condition;
        return $"{condition}@{zone.WritePointer - zone.Start}{(extended ? "x" : "")}";
    }

    private static async Task<ZoneDescriptor[]> ReportAsync(IBlockDevice device)
    {
        var zones = new ZoneDescriptor[4 * Zones];
        return zones[..await device.Zones!.ReportAsync(0, zones, Token)];
    }
}
