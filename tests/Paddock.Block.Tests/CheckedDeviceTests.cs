using Paddock.Testing;

namespace Paddock.Block.Tests;

public class CheckedDeviceTests
{
    private const int Size = 4096;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(-512, 512)]
    [InlineData(Size, 512)]
    [InlineData(Size - 512, 1024)]
    [InlineData(Size + 512, 0)]
    [InlineData(long.MaxValue & ~511, 512)]
    public async Task Requests_outside_the_device_are_rejected(long offset, int length)
    {
        var inner = Disk();
        await using var device = CheckedDevice.Wrap(inner);
        Refused(BlockError.OutOfRange, () => device.ReadAsync(offset, new byte[length], Token));
        Refused(BlockError.OutOfRange, () => device.WriteAsync(offset, new byte[length], cancellationToken: Token));
        Refused(BlockError.OutOfRange, () => device.WriteZeroesAsync(offset, length, cancellationToken: Token));
        Refused(BlockError.OutOfRange, () => device.DiscardAsync(offset, length, Token));
        Assert.Equal(0, Changes(inner));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(Size, 0)]
    [InlineData(0, 2048)]
    [InlineData(Size - 2048, 2048)]
    public async Task Requests_up_to_the_end_pass(long offset, int length)
    {
        var inner = Disk();
        await using var device = CheckedDevice.Wrap(inner);
        await device.ReadAsync(offset, new byte[length], Token);
        await device.WriteAsync(offset, new byte[length], cancellationToken: Token);
        await device.WriteZeroesAsync(offset, length, cancellationToken: Token);
        await device.DiscardAsync(offset, length, Token);
        Assert.Equal(4, Changes(inner));
    }

    [Fact]
    public async Task Range_check_does_not_overflow()
    {
        await using var device = CheckedDevice.Wrap(Disk());
        Refused(BlockError.OutOfRange, () => device.WriteZeroesAsync(512, long.MaxValue & ~511, cancellationToken: Token));
        Refused(BlockError.OutOfRange, () => device.DiscardAsync(512, -512, Token));
        var status = await device.GetStatusAsync(512, long.MaxValue, Token);
        Assert.Equal(Size - 512, status.Length);
        Assert.Equal(0, (await device.GetStatusAsync(Size, 1, Token)).Length);
        Assert.Throws<BlockException>(() => { _ = device.GetStatusAsync(Size + 1, 1, Token).AsTask(); });
    }

    [Fact]
    public async Task Misaligned_and_too_long_requests_are_rejected()
    {
        await using var device = CheckedDevice.Wrap(Disk());
        Refused(BlockError.InvalidArgument, () => device.ReadAsync(1, new byte[512], Token));
        Refused(BlockError.InvalidArgument, () => device.WriteAsync(0, new byte[511], cancellationToken: Token));
        Refused(BlockError.InvalidArgument, () => device.ReadAsync(0, new byte[2560], Token));

        // the limit applies to transfers only: this moves no data
        await device.WriteZeroesAsync(0, Size, cancellationToken: Token);
    }

    [Fact]
    public async Task Read_only_device_rejects_changes_and_ignores_flushes()
    {
        var inner = Disk(readOnly: true);
        await using var device = CheckedDevice.Wrap(inner);
        Refused(BlockError.ReadOnly, () => device.WriteAsync(0, new byte[512], cancellationToken: Token));
        Refused(BlockError.ReadOnly, () => device.WriteZeroesAsync(0, 512, cancellationToken: Token));
        Refused(BlockError.ReadOnly, () => device.DiscardAsync(0, 512, Token));
        Refused(BlockError.ReadOnly, () => device.ResizeAsync(512, cancellationToken: Token));
        await device.FlushAsync(Token);
        Assert.Equal(0, Changes(inner));
    }

    private static void Refused(BlockError error, Func<ValueTask> request)
        => Assert.Equal(error, Assert.Throws<BlockException>(() => { _ = request().AsTask(); }).Error);

    private static TestDevice Disk(bool readOnly = false) => new(Size, new BlockLimits(512, 2048, 0), readOnly);

    private static int Changes(TestDevice device)
        => device.Count(
            DeviceCall.Read, DeviceCall.Write, DeviceCall.WriteZeroes, DeviceCall.Discard, DeviceCall.Flush, DeviceCall.Resize);
}
