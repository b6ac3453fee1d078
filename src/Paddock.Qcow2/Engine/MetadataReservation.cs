using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Takes the space of tables when a request that will change them is accepted. Writing them back later then overwrites space that is there,
/// and a full file system cannot keep accepted data from becoming durable. Under the image's metadata mutex.
/// </summary>
/// <remarks>
/// A cluster of a table costs one call a session. Tables of other programs, and of files that were copied sparsely, may lie in holes. An
/// entry that only becomes zero needs no space: its block is not a hole.
/// </remarks>
/// <param name="storage">Where the tables lie.</param>
/// <param name="clusterBits">Of the image.</param>
internal sealed class MetadataReservation(IStorage storage, int clusterBits)
{
    /// <summary>A new table up to this size is written whole: that costs as much as taking its space.</summary>
    private const int SmallTable = 4096;

    private static readonly byte[] Zeroes = new byte[SmallTable];

    private readonly HashSet<long> _clusters = [];

    /// <summary>Takes the space of a table, or of a part of one.</summary>
    /// <exception cref="BlockException">No space is left.</exception>
    public ValueTask EnsureAsync(long offset, long length)
        => length <= 1L << clusterBits && _clusters.Contains(offset >> clusterBits) ? default : TakeAsync(offset, length);

    /// <summary>Takes the space of the cluster in which an entry of a table lies, as far as the table reaches.</summary>
    public ValueTask EnsureEntryAsync(long tableOffset, long tableBytes, long entryAt)
    {
        long piece = entryAt >> clusterBits << clusterBits;
        return EnsureAsync(tableOffset + piece, Math.Min(tableBytes - piece, 1L << clusterBits));
    }

    /// <summary>Makes a table that is to begin in a cluster read as zeroes, up to its end, with all its space.</summary>
    /// <param name="offset">Of the cluster.</param>
    /// <param name="knownZero">Whether it reads as zeroes already.</param>
    public async ValueTask CreateAsync(long offset, bool knownZero)
    {
        int size = 1 << clusterBits;
        if (knownZero && size <= SmallTable)
        {
            await storage.WriteAsync(offset, Zeroes.AsMemory(0, size));
        }
        else if (!knownZero || !await storage.ReserveAsync(offset, size, grows: true))
        {
            await storage.WriteZeroesAsync(offset, size, ZeroFlags.None);
        }

        _clusters.Add(offset >> clusterBits);
    }

    private async ValueTask TakeAsync(long offset, long length)
    {
        for (long at = offset; at < offset + length;)
        {
            long next = Math.Min(offset + length, ((at >> clusterBits) + 1) << clusterBits);
            if (!_clusters.Contains(at >> clusterBits))
            {
                await TakePieceAsync(at, (int)(next - at));
                _clusters.Add(at >> clusterBits);
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
