using System.Buffers;
using Paddock.Block;
using Paddock.Block.Concurrency;

namespace Paddock.Crypto.Ciphers;

/// <summary>
/// Encrypts data on their way to a storage and decrypts them on their way back, through buffers of its own: cipher text does not appear in
/// the memory of clients, nor plain text in the storage. Any offset and length will do.
/// </summary>
/// <param name="cipher">The cipher.</param>
internal sealed class SectorTransfer(SectorCipher cipher)
{
    private const int SectorBytes = SectorCipher.SectorBytes;
    private const int SectorMask = SectorBytes - 1;

    /// <summary>Bytes per request to the storage.</summary>
    private const int PieceBytes = 1 << 20;

    // a write that covers sectors in part reads them and replaces all their cipher text: no other request may use them meanwhile
    private readonly RangeLock _sectors = new();

    /// <summary>Reads and decrypts.</summary>
    /// <param name="storage">The storage.</param>
    /// <param name="offset">Where the data are in the storage.</param>
    /// <param name="position">Where they are counted to be for the sector numbers; the same part of a sector as the offset.</param>
    /// <param name="target">Receives the data.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async ValueTask ReadAsync(
        IStorage storage, long offset, long position, Memory<byte> target, CancellationToken cancellationToken)
    {
        if (target.Length == 0)
        {
            return;
        }

        long first = offset / SectorBytes, last = (offset + target.Length - 1) / SectorBytes;
        byte[]? piece = null;
        await _sectors.AcquireAsync(first, last, exclusive: false);
        try
        {
            while (target.Length > 0)
            {
                int head = (int)(offset & SectorMask);
                int count = Math.Min(target.Length, PieceBytes - head), whole = (head + count + SectorMask) & ~SectorMask;
                piece ??= ArrayPool<byte>.Shared.Rent(whole);
                await storage.ReadAsync(offset - head, piece.AsMemory(0, whole), cancellationToken);
                if (whole == count)
                {
                    cipher.Decrypt(position / SectorBytes, piece.AsSpan(0, whole), target.Span[..count]);
                }
                else
                {
                    cipher.Decrypt(position / SectorBytes, piece.AsSpan(0, whole), piece.AsSpan(0, whole));
                    piece.AsSpan(head, count).CopyTo(target.Span);
                }

                (offset, position, target) = (offset + count, position + count, target[count..]);
            }
        }
        finally
        {
            _sectors.Release(first, last, exclusive: false);
            Return(piece);
        }
    }

    /// <summary>Encrypts and writes.</summary>
    public async ValueTask WriteAsync(
        IStorage storage, long offset, long position, ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        if (source.Length == 0)
        {
            return;
        }

        bool isPartial = ((offset | (long)source.Length) & SectorMask) != 0;
        long first = offset / SectorBytes, last = (offset + source.Length - 1) / SectorBytes;
        byte[]? piece = null;
        await _sectors.AcquireAsync(first, last, isPartial);
        try
        {
            while (source.Length > 0)
            {
                int head = (int)(offset & SectorMask);
                int count = Math.Min(source.Length, PieceBytes - head), whole = (head + count + SectorMask) & ~SectorMask;
                piece ??= ArrayPool<byte>.Shared.Rent(whole);
                if (whole == count)
                {
                    cipher.Encrypt(position / SectorBytes, source.Span[..count], piece.AsSpan(0, count));
                }
                else
                {
                    await FillPartsAsync(storage, offset, position, piece, head, count, whole, cancellationToken);
                    source.Span[..count].CopyTo(piece.AsSpan(head));
                    cipher.Encrypt(position / SectorBytes, piece.AsSpan(0, whole), piece.AsSpan(0, whole));
                }

                await storage.WriteAsync(offset - head, piece.AsMemory(0, whole), cancellationToken);
                (offset, position, source) = (offset + count, position + count, source[count..]);
            }
        }
        finally
        {
            _sectors.Release(first, last, isPartial);
            Return(piece);
        }
    }

    private static void Return(byte[]? piece)
    {
        if (piece is not null)
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    // the rest of the first and of the last sector, decrypted
    private async ValueTask FillPartsAsync(
        IStorage storage, long offset, long position, byte[] piece, int head, int count, int whole,
        CancellationToken cancellationToken)
    {
        if (head != 0)
        {
            await FillAsync(storage, offset - head, position - head, piece.AsMemory(0, SectorBytes), cancellationToken);
        }

        int last = whole - SectorBytes;
        if (head + count != whole && (head == 0 || last != 0))
        {
            await FillAsync(storage, offset + last - head, position + last - head, piece.AsMemory(last, SectorBytes), cancellationToken);
        }
    }

    private async ValueTask FillAsync(
        IStorage storage, long offset, long position, Memory<byte> sector, CancellationToken cancellationToken)
    {
        await storage.ReadAsync(offset, sector, cancellationToken);
        cipher.Decrypt(position / SectorBytes, sector.Span, sector.Span);
    }
}
