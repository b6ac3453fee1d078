using Paddock.Block;

namespace Paddock.Crypto.Luks;

/// <summary>The part of a storage that holds a LUKS header and its key material.</summary>
/// <param name="Storage">The storage.</param>
/// <param name="Start">Where the header begins.</param>
/// <param name="Length">Bytes that belong to the header; <see cref="long.MaxValue"/> if the storage alone limits it.</param>
internal readonly record struct LuksArea(IStorage Storage, long Start = 0, long Length = long.MaxValue)
{
    /// <summary>Reads; bytes past the end of the storage are zeroes.</summary>
    /// <exception cref="BlockException">The range is outside the area.</exception>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Check(offset, buffer.Length);
        return Storage.ReadAsync(Start + offset, buffer, cancellationToken);
    }

    /// <summary>Writes durably.</summary>
    /// <exception cref="BlockException">The range is outside the area.</exception>
    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken = default)
    {
        Check(offset, bytes.Length);
        await Storage.WriteAsync(Start + offset, bytes, cancellationToken);
        await Storage.FlushAsync(cancellationToken);
    }

    private void Check(long offset, long length)
    {
        if (offset > Length || length > Length - offset || offset > long.MaxValue - Start - length)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"LUKS header: bytes {offset} to {offset + length} are outside the {Length} bytes that it has in '{Storage.Name}'");
        }
    }
}
