using Paddock.Block;
using Paddock.Faults;
using Paddock.Qcow2;
using Paddock.Server.Disks;

namespace Paddock.Server.Tests;

/// <summary>Copies between the parts of one zoned image, and the rules that they meet.</summary>
public sealed class DiskWindowTests : IAsyncDisposable
{
    private const int Zone = 1 << 20;

    private readonly DeviceFaults _faults = new();
    private readonly MemoryStorage _storage = new("disk");
    private ServedDevice? _served;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _served?.DisposeAsync() ?? default;

    [Fact]
    public async Task Copy_between_the_parts_of_one_image_takes_no_space()
    {
        var (plain, zoned) = await OpenAsync();
        var data = new byte[Zone];
        new Random(1).NextBytes(data);
        await plain.WriteAsync(Zone, data, cancellationToken: Token);
        await plain.FlushAsync(Token);
        long length = _storage.Length;
        Assert.Same(plain.RangeCopy!.Disk, zoned.RangeCopy!.Disk);
        await zoned.RangeCopy.CopyAsync(plain.RangeCopy.Start + Zone, Zone, data.Length, Token);
        await zoned.FlushAsync(Token);
        Assert.InRange(_storage.Length, length, length + (Zone / 4));
        var found = new byte[Zone];
        await zoned.ReadAsync(Zone, found, Token);
        Assert.Equal(data, found);
        await plain.RangeCopy.CopyAsync(zoned.RangeCopy.Start + Zone + 4096, 0, 8192, Token);
        await plain.ReadAsync(0, found.AsMemory(0, 8192), Token);
        Assert.Equal(data[4096..12288], found[..8192]);
    }

    [Fact]
    public async Task Rules_see_a_read_of_the_source_and_a_write_of_the_target()
    {
        var (plain, zoned) = await OpenAsync();
        int id = _faults.Add(new DeviceFault { Operations = DeviceOperations.Read, Offset = 4096, Length = 512, Count = 0 });
        await Assert.ThrowsAnyAsync<BlockException>(async () => await zoned.RangeCopy!.CopyAsync(0, 0, 8192, Token));
        await zoned.RangeCopy!.CopyAsync(8192, 0, 8192, Token);
        _faults.Clear(id);
        _faults.Add(new DeviceFault { Operations = DeviceOperations.Write, Offset = 2 * Zone, Length = Zone, Count = 0 });
        await Assert.ThrowsAnyAsync<BlockException>(async () => await zoned.RangeCopy.CopyAsync(0, 8192, 512, Token));
        await Assert.ThrowsAnyAsync<BlockException>(async () => await zoned.UnreadableRanges!.AddAsync(8192, 512, Token));
        await plain.UnreadableRanges!.AddAsync(512, 512, Token);
        var failure = await Assert.ThrowsAsync<BlockException>(async () => await plain.ReadAsync(0, new byte[1024], Token));
        Assert.Equal(BlockError.Unreadable, failure.Error);
    }

    private async Task<(IBlockDevice Plain, IBlockDevice Zoned)> OpenAsync()
    {
        await Qcow2Image.CreateAsync(
            _storage,
            new Qcow2CreateOptions
            {
                Size = 8 * Zone, ClusterSize = 4096, Zoned = new ZonedCreateOptions { ZoneSize = Zone, ConventionalZones = 2 },
            },
            Token);
        _served = new ServedDevice(await Qcow2Image.OpenAsync(_storage, new Qcow2OpenOptions(), Token), _faults);
        var parts = DiskWindow.Part(_served);
        return (parts[0], parts[1]);
    }
}
