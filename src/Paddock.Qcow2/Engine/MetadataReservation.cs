using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Takes the space of tables when a request that will change them is accepted. Writing them back later then overwrites space that is there,
/// and a full file system cannot keep accepted data from becoming durable. Under the image's metadata mutex.
/// </summary>
/// <remarks>
/// Space is taken in pieces of up to 64 KiB, each by one call in a session. That covers the entries of 512 MiB with clusters of 64
/// KiB, and little where clusters are large. Tables of other programs, and of files that were copied sparsely, may lie in holes. An
/// entry that only becomes zero needs no space: its block is not a hole.
/// </remarks>
/// <param name="storage">Where the tables lie.</param>
/// <param name="clusterBits">Of the image.</param>
internal sealed class MetadataReservation(IStorage storage, int clusterBits)
{
    private const int MaxPieceBits = 16;

    /// <summary>A new table up to this size is written whole: that costs as much as taking its space.</summary>
    private const int SmallTable = 4096;

    private static readonly byte[] Zeroes = new byte[SmallTable];

    private readonly int _pieceBits = Math.Min(clusterBits, MaxPieceBits);
    private readonly HashSet<long> _pieces = [];

    /// <summary>Takes the space of a part of a table.</summary>
    /// <exception cref="BlockException">No space is left.</exception>
    public ValueTask EnsureAsync(HostOffset offset, long length)
    {
        long piece = offset.Value >> _pieceBits;
        return piece == (offset.Value + length - 1) >> _pieceBits && _pieces.Contains(piece) ? default : TakeAsync(offset, length);
    }

    /// <summary>Takes the space of the piece in which an entry of a table lies, as far as the table reaches.</summary>
    public ValueTask EnsureEntryAsync(HostOffset tableOffset, long tableBytes, long entryAt)
    {
        long start = entryAt >> _pieceBits << _pieceBits;
        return EnsureAsync(tableOffset + start, Math.Min(tableBytes - start, 1L << _pieceBits));
    }

    /// <summary>Makes a table that is to begin in a cluster read as zeroes, up to its end, with the space of its first piece.</summary>
    /// <param name="offset">Of the cluster.</param>
    /// <param name="knownZero">Whether it reads as zeroes already.</param>
    public async ValueTask CreateAsync(HostOffset offset, bool knownZero)
    {
        int size = 1 << clusterBits;
        if (clusterBits > MaxPieceBits)
        {
            // so that no reader of the file finds the table cut short; what was taken for an earlier one is a hole again
            await storage.WriteZeroesAsync(offset.Value, size, ZeroFlags.MayUnmap);
            Forget(offset, size);
            await EnsureAsync(offset, 1L << _pieceBits);
            return;
        }

        if (size <= SmallTable)
        {
            await storage.WriteAsync(offset.Value, Zeroes.AsMemory(0, size));
        }
        else if (!knownZero || !await storage.ReserveAsync(offset.Value, size, grows: true))
        {
            await storage.WriteZeroesAsync(offset.Value, size, ZeroFlags.None);
        }

        _pieces.Add(offset.Value >> _pieceBits);
    }

    /// <summary>The storage was cut: space after its end is taken again when it is needed.</summary>
    public void Forget() => _pieces.Clear();

    /// <summary>The space of a range was freed.</summary>
    public void Forget(HostOffset offset, long length)
    {
        long first = offset.Value >> _pieceBits, last = (offset.Value + length - 1) >> _pieceBits;
        if (last - first >= _pieces.Count)
        {
            _pieces.RemoveWhere(piece => piece >= first && piece <= last);
            return;
        }

        for (long piece = first; piece <= last; piece++)
        {
            _pieces.Remove(piece);
        }
    }

    private async ValueTask TakeAsync(HostOffset offset, long length)
    {
        long end = offset.Value + length;
        for (long at = offset.Value; at < end;)
        {
            long piece = at >> _pieceBits;
            long next = Math.Min(end, (piece + 1) << _pieceBits);
            if (!_pieces.Contains(piece))
            {
                await TakePieceAsync(at, (int)(next - at));
                _pieces.Add(piece);
            }

            at = next;
        }
    }

    private async ValueTask TakePieceAsync(long offset, int length)
    {
        if (!await storage.ReserveAsync(offset, length, grows: false))
        {
            // only writing takes space here; nobody else changes tables meanwhile
            var bytes = new byte[length];
            await storage.ReadAsync(offset, bytes);
            await storage.WriteAsync(offset, bytes);
        }
    }
}
