using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>A target without zones: any range may be written at any time.</summary>
internal sealed class PlainSink : ICopySink
{
    private const int Sector = 512;

    // a run of zeroes that is written as data goes in pieces of this many bytes
    private const int ZeroPiece = 1 << 20;

    private readonly IBlockDevice _target;
    private readonly CopyOptions _options;
    private readonly byte[] _zeroes;
    private readonly int _alignment;

    public PlainSink(IBlockDevice target, CopyOptions options)
    {
        _target = target;
        _options = options;
        _alignment = Math.Max(1, target.Limits.RequestAlignment);
        int smallest = Math.Max(Sector, _alignment);
        ZeroBlock = IsCompressed ? options.CompressedUnit
            : options.SparseBytes == 0 ? 0 : (Math.Max(options.SparseBytes, smallest) + smallest - 1) / smallest * smallest;
        _zeroes = IsCompressed ? new byte[options.CompressedUnit] : options.SparseBytes == 0 ? new byte[ZeroPiece] : [];
    }

    public int ZeroBlock { get; }

    public int Unit => IsCompressed ? _options.CompressedUnit : Math.Max(Sector, _alignment);

    private bool IsCompressed => _options.WriteCompressed is not null;

    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        => IsCompressed ? CompressAsync(offset, data, cancellationToken)
            : _alignment > Sector && ((offset | (long)data.Length) & (_alignment - 1)) != 0 ? MergeAsync(offset, data, cancellationToken)
            : WriteAlignedAsync(offset, data, cancellationToken);

    public async ValueTask ZeroAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (_options.SparseBytes == 0)
        {
            await FillAsync(offset, length, cancellationToken);
            return;
        }

        if (_options.TargetIsZero)
        {
            return;
        }

        if (_options.TopLayerOnly)
        {
            length = Math.Min(length, Math.Max(0, _options.BackingLength - offset));
        }

        long whole = length & -_alignment;
        if (whole > 0)
        {
            await _target.WriteZeroesAsync(offset, whole, ZeroFlags.MayUnmap, cancellationToken);
        }

        if (whole < length)
        {
            await MergeAsync(offset + whole, new byte[length - whole], cancellationToken);
        }
    }

    // nothing is left out: space is taken for zeroes too
    private async ValueTask FillAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            int count = (int)Math.Min(_zeroes.Length, end - offset);
            await WriteAsync(offset, _zeroes.AsMemory(0, count), cancellationToken);
            offset += count;
        }
    }

    private async ValueTask WriteAlignedAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int most = Math.Max(_alignment, _target.Limits.MaxTransfer & -_alignment);
        for (int done = 0; done < data.Length;)
        {
            int count = Math.Min(most, data.Length - done);
            await _target.WriteAsync(offset + done, data.Slice(done, count), WriteFlags.None, cancellationToken);
            done += count;
        }
    }

    private async ValueTask CompressAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        int unit = _options.CompressedUnit, whole = data.Length / unit * unit, rest = data.Length - whole;
        try
        {
            if (rest == 0 || offset + data.Length >= _target.Length)
            {
                await _options.WriteCompressed!(offset, data, cancellationToken);
                return;
            }

            if (whole > 0)
            {
                await _options.WriteCompressed!(offset, data[..whole], cancellationToken);
            }

            byte[] padded = new byte[unit];
            data[whole..].CopyTo(padded);
            await _options.WriteCompressed!(offset + whole, padded, cancellationToken);
        }
        catch (BlockException e)
        {
            throw new CopyException(isRead: false, offset, e);
        }
    }

    // the source ends within a block of the target: the block's other bytes stay
    private async ValueTask MergeAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        long start = offset & -_alignment, end = (offset + data.Length + _alignment - 1) & -_alignment;
        byte[] whole = new byte[end - start];
        await _target.ReadAsync(start, whole, cancellationToken);
        data.CopyTo(whole.AsMemory((int)(offset - start)));
        await WriteAlignedAsync(start, whole, cancellationToken);
    }
}
