using Paddock.Block;

namespace Paddock.Faults;

/// <summary>
/// Range copies of the current device of a <see cref="ServedDevice"/>. The rules see a read of the source, then a write of the target.
/// </summary>
/// <param name="served">The device.</param>
internal sealed class ServedRangeCopy(ServedDevice served) : IRangeCopy
{
    public object Disk => Inner.Disk;

    public long Start => Inner.Start;

    // a replacement is an image of the same format
    private IRangeCopy Inner => CopyOf(served.Device);

    public ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
        => served.Faults.IsIdle ? WriteAsync(source, offset, length, cancellationToken)
            : ReadAndWriteAsync(source, offset, length, cancellationToken);

    private static IRangeCopy CopyOf(IBlockDevice device)
        => device.RangeCopy ?? throw new BlockException(BlockError.NotSupported, "the image came back in a format that copies nothing");

    private ValueTask WriteAsync(long source, long offset, long length, CancellationToken cancellationToken)
        => served.RunAsync(
            new ServedRange(DeviceOperations.Write, offset, length), (source, offset, length),
            static (device, r) => CopyOf(device).CopyAsync(r.source, r.offset, r.length, CancellationToken.None), cancellationToken);

    private async ValueTask ReadAndWriteAsync(long source, long offset, long length, CancellationToken cancellationToken)
    {
        await served.Faults.MeetAsync(DeviceOperations.Read, source, length, cancellationToken);
        await WriteAsync(source, offset, length, cancellationToken);
    }
}
