using Paddock.Block;
using Paddock.Images.Copying;

namespace Paddock.Images.Chains;

/// <summary>Writes what the images over a base hold into that base.</summary>
/// <remarks>
/// The base is written and flushed before the overlay gives up anything, and each range is written whole or not at all from the view of
/// the chain, since the overlay covers it meanwhile: after a crash at any point the same commit can be run again.
/// </remarks>
/// <param name="top">The uppermost image.</param>
/// <param name="target">An image of its chain, open for writing.</param>
/// <param name="writable">Where that image's data is written: the same, or what lies below its zones.</param>
internal sealed class CommitWork(IBlockDevice top, IBlockDevice target, IBlockDevice writable)
{
    /// <summary>Requests in flight.</summary>
    private const int Parallel = 8;

    /// <summary>Copies what is allocated above the base, which grows first if it is shorter, and flushes the base.</summary>
    /// <param name="bytesPerSecond">Bytes to write in a second at most; 0: no limit.</param>
    /// <param name="progress">Receives the bytes copied and the bytes to copy; null: nobody asks.</param>
    /// <param name="time">The clock of the rate limit.</param>
    /// <param name="cancellationToken">Stops it: the base then holds part of the changes, and the overlay all of them.</param>
    public async ValueTask RunAsync(
        long bytesPerSecond, Action<long, long>? progress, TimeProvider time, CancellationToken cancellationToken = default)
    {
        if (top.Length > target.Length)
        {
            await target.ResizeAsync(top.Length, cancellationToken: cancellationToken);
        }

        var options = new CopyOptions
        {
            Below = target,
            Parallel = Parallel,
            OutOfOrder = true,
            BytesPerSecond = bytesPerSecond,
            Progress = progress,
            Time = time,
        };
        await new CopyWork(top, new CommitSink(writable), options, inOrder: false).RunAsync([(0, top.Length)], cancellationToken);
        await target.FlushAsync(cancellationToken);
    }

    /// <summary>Writes data as data, and zeroes by freeing what the base holds.</summary>
    private sealed class CommitSink(IBlockDevice target) : ICopySink
    {
        private readonly PlainSink _sink = new(target, new CopyOptions());

        public int ZeroBlock => 0;

        public int Unit => target.Limits.RequestAlignment;

        public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
            => _sink.WriteAsync(offset, data, cancellationToken);

        public ValueTask ZeroAsync(long offset, long length, CancellationToken cancellationToken)
            => _sink.ZeroAsync(offset, length, cancellationToken);
    }
}
