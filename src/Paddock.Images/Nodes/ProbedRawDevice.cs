using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Images.Nodes;

/// <summary>
/// A raw disk whose format was guessed. A change after which the guess would be another format is refused: whoever writes to the disk would
/// otherwise decide how its file is opened next time, and so which other files are read for it.
/// </summary>
/// <param name="device">The disk; owned.</param>
internal sealed class ProbedRawDevice(IBlockDevice device) : DelegatingDevice(device)
{
    // changes at the ends of the disk take turns, so that each is judged by the bytes that it leaves
    private readonly AsyncMutex _ends = new();

    /// <inheritdoc/>
    public override IRangeCopy? RangeCopy => null;

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
        => TouchesEnds(offset, data.Length)
            ? WriteEndsAsync(offset, data, flags, cancellationToken) : Inner.WriteAsync(offset, data, flags, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
        => TouchesEnds(offset, length)
            ? ZeroEndsAsync(offset, length, flags, cancellationToken) : Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);

    /// <inheritdoc/>
    public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => TouchesEnds(offset, length) ? DiscardEndsAsync(offset, length, cancellationToken)
            : Inner.DiscardAsync(offset, length, cancellationToken);

    /// <inheritdoc/>
    public override async ValueTask ResizeAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
    {
        await _ends.AcquireAsync();
        try
        {
            // a shorter disk ends with other bytes; a longer one ends with zeroes
            if (length < Length)
            {
                var head = new byte[FormatProbe.HeadSize];
                await Inner.ReadAsync(0, head.AsMemory(0, (int)Math.Min(length, head.Length)), cancellationToken);
                Refuse(FormatProbe.OfHead(head));
                var tail = new byte[FormatProbe.TailSize];
                long from = FormatProbe.TailStart(length);
                await Inner.ReadAsync(from, tail.AsMemory(0, (int)(length - from)), cancellationToken);
                Refuse(FormatProbe.OfTail(tail));
            }

            await Inner.ResizeAsync(length, preallocation, cancellationToken);
        }
        finally
        {
            _ends.Release();
        }
    }

    private static void Refuse(string format)
    {
        if (format != FormatProbe.Raw)
        {
            throw new BlockException(
                BlockError.NotPermitted,
                $"the change would make the disk look like a {format} image, and its format was not specified: specify the format raw to "
                    + "allow it")
            {
                Errno = 1,
            };
        }
    }

    private bool TouchesEnds(long offset, long length)
        => length > 0 && (offset < FormatProbe.HeadSize || offset + length > FormatProbe.TailStart(Length));

    private async ValueTask WriteEndsAsync(long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellationToken)
    {
        await _ends.AcquireAsync();
        try
        {
            // a copy: the memory may be a guest's, which can change it between the check and the write
            byte[] copy = data.ToArray();
            await CheckAsync(offset, copy.Length, copy, cancellationToken);
            await Inner.WriteAsync(offset, copy, flags, cancellationToken);
        }
        finally
        {
            _ends.Release();
        }
    }

    private async ValueTask ZeroEndsAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        await _ends.AcquireAsync();
        try
        {
            await CheckAsync(offset, length, null, cancellationToken);
            await Inner.WriteZeroesAsync(offset, length, flags, cancellationToken);
        }
        finally
        {
            _ends.Release();
        }
    }

    private async ValueTask DiscardEndsAsync(long offset, long length, CancellationToken cancellationToken)
    {
        await _ends.AcquireAsync();
        try
        {
            await CheckAsync(offset, length, null, cancellationToken);
            await Inner.DiscardAsync(offset, length, cancellationToken);
        }
        finally
        {
            _ends.Release();
        }
    }

    /// <summary>Refuses a change that leaves the ends of the disk with another format's magic; no data stands for zeroes.</summary>
    private async ValueTask CheckAsync(long offset, long length, byte[]? data, CancellationToken cancellationToken)
    {
        if (offset < FormatProbe.HeadSize)
        {
            var head = new byte[FormatProbe.HeadSize];
            await ApplyAsync(0, head, offset, length, data, cancellationToken);
            Refuse(FormatProbe.OfHead(head));
        }

        long end = FormatProbe.TailStart(Length);
        if (offset + length > end)
        {
            var tail = new byte[FormatProbe.TailSize];
            await ApplyAsync(end, tail, offset, length, data, cancellationToken);
            Refuse(FormatProbe.OfTail(tail));
        }
    }

    /// <summary>The bytes at <paramref name="at"/> as a change leaves them.</summary>
    private async ValueTask ApplyAsync(
        long at, byte[] bytes, long offset, long length, byte[]? data, CancellationToken cancellationToken)
    {
        if (offset > at || offset + length < at + bytes.Length)
        {
            await Inner.ReadAsync(at, bytes.AsMemory(0, (int)Math.Min(bytes.Length, Length - at)), cancellationToken);
        }

        long from = Math.Max(offset, at), to = Math.Min(offset + length, at + bytes.Length);
        var changed = bytes.AsSpan((int)(from - at), (int)(to - from));
        if (data is null)
        {
            changed.Clear();
        }
        else
        {
            data.AsSpan((int)(from - offset), changed.Length).CopyTo(changed);
        }
    }
}
