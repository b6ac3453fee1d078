using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Nbd;

namespace Paddock.Tools;

/// <summary>The bytes under an image, at an NBD server. They grow where the server offers it, and are never cut: they are not the image's alone.</summary>
/// <param name="client">The connection; owned.</param>
internal sealed class NbdStorage(NbdClient client) : IStorage
{
    private readonly int _block = client.Limits.RequestAlignment;
    private readonly AsyncMutex _merging = new();

    /// <summary>The remote disk.</summary>
    public NbdClient Client => client;

    public string Name { get; } = client.Target.ToString();

    public long Length => client.Length;

    public bool IsReadOnly => client.IsReadOnly;

    public int PreferredAlignment => _block;

    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        bool inside = offset <= Length && buffer.Length <= Length - offset;
        return inside && IsAligned(offset, buffer.Length)
            ? client.ReadAsync(offset, buffer, cancellationToken) : ReadPartAsync(offset, buffer, cancellationToken);
    }

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        CheckEnd(offset, data.Length);
        return IsAligned(offset, data.Length)
            ? client.WriteAsync(offset, data, WriteFlags.None, cancellationToken) : MergeAsync(offset, data, cancellationToken);
    }

    public ValueTask WriteZeroesAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken = default)
    {
        if (offset + length > Length)
        {
            throw new BlockException(BlockError.NotSupported, "Could not resize image: Cannot grow NBD nodes");
        }

        return IsAligned(offset, length) ? client.WriteZeroesAsync(offset, length, flags, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, $"the NBD server takes zero ranges in blocks of {_block} bytes");
    }

    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => offset + length <= Length && IsAligned(offset, length) ? client.DiscardAsync(offset, length, cancellationToken) : default;

    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => client.FlushAsync(cancellationToken);

    public ValueTask SetLengthAsync(
        long length, Preallocation preallocation = Preallocation.Off, CancellationToken cancellationToken = default)
        => length <= Length ? default
            : client.CanResize ? client.ResizeAsync(length, preallocation, cancellationToken)
            : throw new BlockException(BlockError.NotSupported, "Cannot grow NBD nodes: the server does not offer it");

    public ValueTask<BlockStatus> GetStatusAsync(long offset, long length, CancellationToken cancellationToken = default)
        => client.GetStatusAsync(offset, length, cancellationToken);

    public ValueTask DisposeAsync() => client.DisposeAsync();

    private bool IsAligned(long offset, long length) => ((offset | length) & (_block - 1)) == 0;

    private void CheckEnd(long offset, long length)
    {
        if (offset > Length || length > Length - offset)
        {
            throw new BlockException(BlockError.NoSpace, $"offset {offset}, length {length}: outside the NBD export of {Length} bytes");
        }
    }

    private async ValueTask ReadPartAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int inside = (int)Math.Clamp(Length - offset, 0, buffer.Length);
        buffer.Span[inside..].Clear();
        if (inside > 0)
        {
            var (from, whole) = await ReadBlocksAsync(offset, inside, cancellationToken);
            whole.AsMemory((int)(offset - from), inside).CopyTo(buffer);
        }
    }

    // parts of blocks are read, changed and written back, one such write at a time
    private async ValueTask MergeAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await _merging.AcquireAsync();
        try
        {
            var (from, whole) = await ReadBlocksAsync(offset, data.Length, cancellationToken);
            data.CopyTo(whole.AsMemory((int)(offset - from)));
            await client.WriteAsync(from, whole, WriteFlags.None, cancellationToken);
        }
        finally
        {
            _merging.Release();
        }
    }

    private async ValueTask<(long From, byte[] Whole)> ReadBlocksAsync(long offset, int length, CancellationToken cancellationToken)
    {
        long from = offset & -_block, end = Math.Min((offset + length + _block - 1) & -_block, Length);
        byte[] whole = new byte[end - from];
        await client.ReadAsync(from, whole, cancellationToken);
        return (from, whole);
    }
}
