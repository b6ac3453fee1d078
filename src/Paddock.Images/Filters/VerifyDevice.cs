using System.Globalization;
using Paddock.Block;

namespace Paddock.Images.Filters;

/// <summary>Reports that two disks that must be the same differ.</summary>
/// <param name="message">Where they differ.</param>
internal sealed class MismatchException(string message) : Exception(message);

/// <summary>A disk that is written to a reference too, and compared with it on every read: QEMU's blkverify.</summary>
/// <param name="device">The disk under test; owned.</param>
/// <param name="reference">The disk with the expected contents; owned.</param>
internal sealed class VerifyDevice(IBlockDevice device, IBlockDevice reference) : DelegatingDevice(device)
{
    // writes change a reference, not a tested, zone
    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override IUnreadableRanges? UnreadableRanges => null;

    /// <inheritdoc/>
    public override IZones? Zones => null;

    /// <inheritdoc/>
    public override async ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var expected = new byte[buffer.Length];
        await reference.ReadAsync(offset, expected, cancellationToken);
        await Inner.ReadAsync(offset, buffer, cancellationToken);
        int same = buffer.Span.CommonPrefixLength(expected);
        if (same < buffer.Length)
        {
            throw new MismatchException(string.Create(
                CultureInfo.InvariantCulture,
                $"blkverify: read offset={offset} bytes={buffer.Length} contents mismatch at offset {offset + same}"));
        }
    }

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        await reference.WriteAsync(offset, data, flags, cancellationToken);
        await Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        await reference.WriteZeroesAsync(offset, length, flags, cancellationToken);
        await Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <summary>Nothing: what a discarded range reads as is for each disk to decide.</summary>
    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => default;

    /// <inheritdoc/>
    public override ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => throw new BlockException(BlockError.NotSupported, "Image format driver does not support resize") { Errno = 95 };

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await reference.DisposeAsync();
    }
}
