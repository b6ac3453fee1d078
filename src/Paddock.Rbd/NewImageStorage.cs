using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>
/// A new image in RBD while it is filled: as long as what was written, in an image that is long enough from the beginning. A change of
/// the size takes several round trips, and completing the tables of a large disk makes hundreds of them.
/// </summary>
/// <param name="storage">The image, which reads as zeroes; owned.</param>
internal sealed class NewImageStorage(IStorage storage) : DelegatingStorage(storage)
{
    private long _length;

    /// <inheritdoc/>
    public override long Length => Volatile.Read(ref _length);

    /// <summary>Cuts the image to what was written.</summary>
    public ValueTask FinishAsync(CancellationToken cancellationToken) => Inner.SetLengthAsync(Length, Preallocation.Off, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int inside = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        return inside == 0 ? default : Inner.ReadAsync(offset, buffer[..inside], cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        Reach(offset + data.Length);
        return Inner.WriteAsync(offset, data, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        Reach(offset + length);
        return Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
    }

    /// <inheritdoc/>
    public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
    {
        Reach(grows ? offset + length : 0);
        return new(true);
    }

    /// <inheritdoc/>
    public override async ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        if (length < Length || length > Inner.Length || preallocation is Preallocation.Falloc or Preallocation.Full)
        {
            await Inner.SetLengthAsync(length, preallocation, cancellationToken);
        }

        Volatile.Write(ref _length, length);
    }

    private void Reach(long end)
    {
        if (end > Length)
        {
            Volatile.Write(ref _length, end);
        }
    }
}
