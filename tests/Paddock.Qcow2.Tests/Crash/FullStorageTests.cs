using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>A file system that fills up under an image.</summary>
public class FullStorageTests
{
    private const int Piece = 4096;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(512, false, true)]
    [InlineData(4096, false, true)]
    [InlineData(65536, false, true)]
    [InlineData(65536, false, false)]
    [InlineData(2 << 20, false, true)]
    [InlineData(512, true, true)]
    [InlineData(4096, true, true)]
    [InlineData(65536, true, true)]
    [InlineData(65536, true, false)]
    public async Task Data_accepted_before_the_storage_was_full_is_there_after_closing(int cluster, bool zoned, bool canReserve)
    {
        for (int pages = 0; pages < 400; pages += 7)
        {
            var disk = await MakeAsync(cluster, zoned, 32 << 20);
            disk.CanReserve = canReserve;
            disk.Capacity = disk.AllocatedBytes + (pages * (long)PagedStorage.PageSize);
            int accepted = 0;
            await using (var device = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token))
            {
                while (await FullDisk.AcceptsAsync(
                    device.WriteAsync((long)accepted * Piece, FullDisk.Filled(Piece, accepted), cancellationToken: Token)))
                {
                    accepted++;
                }

                await device.FlushAsync(Token);
            }

            var report = await Qcow2Image.CheckAsync(disk.Live.Clone(), Qcow2Repair.None, null);
            Assert.Equal((0, 0), (report.Corruptions, report.CheckErrors));
            await using var again = await Qcow2Image.OpenAsync(disk.Live.Clone(), new Qcow2OpenOptions { ReadOnly = true }, Token);
            var read = new byte[Piece];
            for (int i = 0; i < accepted; i++)
            {
                await again.ReadAsync((long)i * Piece, read, Token);
                Assert.True(read.AsSpan().SequenceEqual(FullDisk.Filled(Piece, i)), $"{pages} pages: piece {i} of {accepted} is gone");
            }

            Assert.True(accepted * Piece <= disk.Capacity);
        }
    }

    [Theory]
    [InlineData(64 << 10)]
    [InlineData(1 << 20)]
    public async Task Reset_and_finish_need_no_space(int cluster)
    {
        // zones that share clusters with their neighbours
        const int Zone = 700 << 10;
        var disk = await MakeAsync(cluster, true, 10 * Zone, Zone);
        await using var device = await Qcow2Image.OpenAsync(disk, new Qcow2OpenOptions(), Token);
        for (int zone = 0; zone < 10; zone++)
        {
            await device.WriteAsync(zone * Zone, FullDisk.Filled(Piece, zone), cancellationToken: Token);
        }

        await device.FlushAsync(Token);
        disk.Capacity = disk.AllocatedBytes;
        await device.Zones!.ManageAsync(ZoneAction.Finish, 2 * Zone, Zone, Token);
        await device.Zones!.ManageAsync(ZoneAction.Reset, Zone, Zone, Token);
        await device.Zones!.ManageAsync(ZoneAction.Reset, 4 * Zone, 3 * Zone, Token);
        await device.FlushAsync(Token);
        Assert.Equal(0, disk.Refusals);
        var zones = new ZoneDescriptor[10];
        await device.Zones!.ReportAsync(0, zones, Token);
        Assert.Equal([1, 4, 5, 6], Enumerable.Range(0, 10).Where(zone => zones[zone].Condition == ZoneCondition.Empty));
        Assert.Equal(ZoneCondition.Full, zones[2].Condition);
    }

    private static async Task<CrashStorage> MakeAsync(int cluster, bool zoned, long size, long zone = 4 << 20)
    {
        var start = new PagedStorage();
        var options = new Qcow2CreateOptions { Size = size, ClusterSize = cluster, Zoned = zoned
            ? new ZonedCreateOptions { ZoneSize = zone } : null };
        await Qcow2Image.CreateAsync(start, options, Token);

        // as a sparse copy leaves it: what holds zeroes alone takes no space
        var page = new byte[PagedStorage.PageSize];
        for (long at = 0; at < start.Length; at += page.Length)
        {
            start.Read(at, page);
            if (!page.AsSpan().ContainsAnyExcept((byte)0))
            {
                start.Discard(at, page.Length);
            }
        }

        return new CrashStorage(start);
    }
}
