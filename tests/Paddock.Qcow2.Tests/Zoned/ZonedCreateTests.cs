using Paddock.Block;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>Options of spec section 2: what they make, and what is refused before a byte is written.</summary>
public class ZonedCreateTests
{
    private const long MiB = 1 << 20;

    private static readonly ZonedCreateOptions Plain = new() { ZoneSize = 8 * MiB };

    public static TheoryData<string, ZonedCreateOptions> Refused => new()
    {
        { "zone_size", Plain with { ZoneSize = 0 } },
        { "zone_size", Plain with { ZoneSize = -512 } },
        { "zone_size", Plain with { ZoneSize = 1000 } },
        { "zone_size", Plain with { ZoneSize = 1L << 32 } },
        { "zone_size", Plain with { ZoneSize = 3 * MiB, Layout = ZoneLayout.C } },
        { "zone_size", Plain with { ZoneSize = 32768, Layout = ZoneLayout.C } },
        { "zone_size", Plain with { ZoneSize = 1L << 42, Layout = ZoneLayout.C } },
        { "zone_capacity", Plain with { ZoneCapacity = 0 } },
        { "zone_capacity", Plain with { ZoneCapacity = 4097 } },
        { "zone_capacity", Plain with { ZoneCapacity = (8 * MiB) + 512 } },
        { "conventional_zones", Plain with { ConventionalZones = 9 } },
        { "max_open_zones", Plain with { MaxOpenZones = 4, MaxActiveZones = 3 } },
        { "max_open_zones", Plain with { MaxOpenZones = 7, ConventionalZones = 2, Layout = ZoneLayout.C } },
        { "max_append_bytes", Plain with { MaxAppendBytes = 1000 } },
        { "max_append_bytes", Plain with { MaxAppendBytes = -512 } },
        { "max_append_bytes", Plain with { MaxAppendBytes = 1L << 32 } },
        { "max_append_bytes", Plain with { MaxAppendBytes = 4096, Layout = ZoneLayout.C } },
        { "zones", Plain with { ZoneSize = 512 } },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task Invalid_option_is_rejected_by_name_before_anything_is_written(string named, ZonedCreateOptions zoned)
    {
        var storage = new MemoryStorage();
        long size = named == "zones" ? 1 << 30 : 64 * MiB;
        var refused = await Assert.ThrowsAsync<BlockException>(
            async () => await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = size, Zoned = zoned }));
        Assert.Equal(BlockError.InvalidArgument, refused.Error);
        Assert.Contains(named, refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, storage.Length);
    }

    [Fact]
    public async Task Each_rejection_has_its_own_message()
    {
        var messages = new List<string>();
        foreach (var row in Refused)
        {
            var (named, zoned) = ((string, ZonedCreateOptions))(row.Data.Item1, row.Data.Item2);
            long size = named == "zones" ? 1 << 30 : 64 * MiB;
            var refused = await Assert.ThrowsAsync<BlockException>(
                async () => await Qcow2Image.CreateAsync(new MemoryStorage(), new Qcow2CreateOptions { Size = size, Zoned = zoned }));
            messages.Add(refused.Message);
        }

        Assert.True(messages.Distinct().Count() >= messages.Count - 1, string.Join('\n', messages));
    }

    [Fact]
    public async Task Version_2_image_with_zones_cannot_be_created()
        => await Assert.ThrowsAsync<BlockException>(
            async () => await Qcow2Image.CreateAsync(
                new MemoryStorage(), new Qcow2CreateOptions { Size = 64 * MiB, Version = 2, Zoned = Plain }));

    [Theory]
    [InlineData(0, 3, 3, 3)]
    [InlineData(2, 3, 2, 3)]
    [InlineData(2, 0, 2, 0)]
    [InlineData(0, 0, 0, 0)]
    public async Task Open_limit_defaults_to_the_active_limit(uint open, uint active, uint storedOpen, uint storedActive)
    {
        var limits = await Make(Plain with { MaxOpenZones = open, MaxActiveZones = active });
        Assert.Equal((storedOpen, storedActive), (limits.MaxOpenZones, limits.MaxActiveZones));
    }

    [Theory]
    [InlineData(6, 6, 0, 0)] // all of the sequential zones: no limit
    [InlineData(0, 6, 0, 0)]
    [InlineData(0, 100, 0, 0)] // the open limit follows, and must not make an image that is refused
    [InlineData(5, 6, 5, 0)]
    [InlineData(5, 5, 5, 5)]
    public async Task Layout_C_omits_a_limit_that_limits_nothing(uint open, uint active, uint storedOpen, uint storedActive)
    {
        var limits = await Make(Plain with { Layout = ZoneLayout.C, ConventionalZones = 2, MaxOpenZones = open, MaxActiveZones = active });
        Assert.Equal((storedOpen, storedActive), (limits.MaxOpenZones, limits.MaxActiveZones));
    }

    [Theory]
    [InlineData(64 * MiB, 8)]
    [InlineData((64 * MiB) - 512, 8)]
    [InlineData((56 * MiB) + 512, 8)]
    [InlineData(512, 1)]
    public async Task Last_zone_is_smaller_if_the_size_is_no_multiple_of_the_zone_size(long size, int zones)
    {
        var limits = await Make(Plain with { ZoneCapacity = 6 * MiB }, size);
        Assert.Equal((zones, 8 * MiB, 6 * MiB), (limits.ZoneCount, limits.ZoneSize, limits.ZoneCapacity));
    }

    private static async Task<ZonedLimits> Make(ZonedCreateOptions zoned, long size = 64 * MiB)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = size, Zoned = zoned });
        await using var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
        return disk.Zones!.Limits;
    }
}
