using Paddock.Block;

namespace Paddock.Faults;

/// <summary>The unreadable ranges of the current device of a <see cref="ServedDevice"/>. The rules see a write.</summary>
/// <param name="served">The device.</param>
internal sealed class ServedUnreadable(ServedDevice served) : IUnreadableRanges
{
    public ValueTask AddAsync(long offset, long length, CancellationToken cancellationToken = default)
        => served.RunAsync(
            new ServedRange(DeviceOperations.Write, offset, length), (offset, length),
            static (device, r) => device.UnreadableRanges is { } ranges ? ranges.AddAsync(r.offset, r.length, CancellationToken.None)
                : throw new BlockException(BlockError.NotSupported, "the image came back in a format that keeps no unreadable ranges"),
            cancellationToken);
}
