using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Zoned images whose zones get conditions and extensions.</summary>
internal static class AttributeBench
{
    public const int Zone = 64 << 10;

    public static async Task<PagedStorage> MakeAsync(
        ZoneLayout layout = ZoneLayout.A, int cluster = 4096, int zones = 8, uint active = 0, int conventional = 0, bool lazy = false)
    {
        var storage = new PagedStorage("image");
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
        {
            Size = (long)zones * Zone,
            ClusterSize = cluster,
            LazyRefcounts = lazy,
            Zoned = new ZonedCreateOptions
            {
                Layout = layout, ZoneSize = Zone, MaxActiveZones = active, ConventionalZones = (uint)conventional,
            },
        });
        return storage;
    }

    public static async Task<IBlockDevice> OpenAsync(IStorage storage)
        => await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());

    public static byte[] Extension(byte value, int bytes = 64)
    {
        var data = new byte[bytes];
        data.AsSpan().Fill(value);
        return data;
    }

    public static async Task<ZoneCondition> ConditionAsync(IBlockDevice disk, int zone)
    {
        var report = new ZoneDescriptor[1];
        await disk.Zones!.ReportAsync(zone * disk.Zones!.Limits.ZoneSize, report);
        return report[0].Condition;
    }

    /// <summary>The first byte of a zone's extension; -1 when it has none.</summary>
    public static async Task<int> ExtensionAsync(IBlockDevice disk, int zone)
    {
        var data = new byte[disk.Zones!.Attributes!.ExtensionBytes];
        bool has = await disk.Zones!.Attributes.ReadExtensionAsync(zone, data);
        Assert.Equal(has, disk.Zones!.Attributes.HasExtension(zone));
        Assert.True(data.AsSpan().IndexOfAnyExcept(data[0]) < 0);
        return has ? data[0] : -1;
    }

    public static async Task<ZoneError> RefusalAsync(Func<ValueTask> request)
        => (await Assert.ThrowsAsync<ZoneException>(async () => await request())).Reason;

    public static async Task CheckCleanAsync(IStorage storage, bool leaksAllowed = false)
    {
        var lines = new List<string>();
        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, lines.Add);
        Assert.True(report.Corruptions == 0 && report.CheckErrors == 0 && (leaksAllowed || report.Leaks == 0), string.Join('\n', lines));
    }
}
