using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>Copies inside a remote namespace, by Copy commands of the largest size that the controller takes.</summary>
/// <param name="device">The namespace.</param>
/// <param name="rangeBytes">The most bytes of a source range.</param>
/// <param name="commandBytes">The most bytes of a command.</param>
/// <param name="ranges">The most source ranges of a command.</param>
internal sealed class RemoteRangeCopy(RemoteNamespace device, long rangeBytes, long commandBytes, int ranges) : IRangeCopy
{
    private const int Format = 0;

    /// <inheritdoc/>
    public object Disk => device;

    /// <inheritdoc/>
    public long Start => 0;

    /// <inheritdoc/>
    public async ValueTask CopyAsync(long source, long offset, long length, CancellationToken cancellationToken = default)
    {
        long distance = Math.Abs(source - offset);
        if (distance == 0)
        {
            return;
        }

        // ranges of one command must not overlap: of overlapping ones it copies as much as lies between them
        long most = Math.Min(distance, Math.Min(commandBytes, rangeBytes * ranges));
        for (long done = 0, piece; done < length; done += piece)
        {
            piece = Math.Min(most, length - done);
            long at = offset > source && distance < length ? length - done - piece : done;
            await CopyPieceAsync(source + at, offset + at, piece, cancellationToken);
        }
    }

    private ValueTask CopyPieceAsync(long source, long offset, long length, CancellationToken cancellationToken)
    {
        int size = CopyRange.SizeOf(Format), count = (int)((length + rangeBytes - 1) / rangeBytes);
        int blockBytes = device.Limits.RequestAlignment;
        var list = new byte[count * size];
        for (int i = 0; i < count; i++)
        {
            long at = i * rangeBytes, part = Math.Min(rangeBytes, length - at);
            new CopyRange(0, (ulong)((source + at) / blockBytes), (int)(part / blockBytes)).WriteTo(list.AsSpan(i * size), Format);
        }

        return device.CopyAsync(list, count, offset, length, cancellationToken);
    }
}
