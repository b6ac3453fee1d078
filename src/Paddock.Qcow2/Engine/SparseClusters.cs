using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Whether many clusters in use lie in holes of the file, as after preallocation of metadata. Only then is the file asked for the
/// holes below allocated clusters; in other images that would cut clusters that are written in parts into small runs. The rule is
/// QEMU's.
/// </summary>
/// <param name="storage">Where the image lies.</param>
/// <param name="geometry">The image's.</param>
internal sealed class SparseClusters(IStorage storage, ClusterGeometry geometry)
{
    /// <summary>Reference counts that are read to decide; whatever takes more is taken for sparse, which is never wrong.</summary>
    private const long MaxBytesRead = 64 << 20;

    private bool? _known;

    /// <summary>Decide again at the next question.</summary>
    public void Reset() => _known = null;

    /// <summary>Decides at the first question.</summary>
    public async ValueTask<bool> IsSparseAsync(Qcow2Header header, CancellationToken cancellationToken)
        => _known ??= await DecideAsync(header, cancellationToken);

    private async ValueTask<bool> DecideAsync(Qcow2Header header, CancellationToken cancellationToken)
    {
        long allocated = storage.AllocatedBytes, clusters = geometry.ClustersFor(storage.Length);
        long real = allocated >> geometry.ClusterBits, most = Math.Max(real + (real / 9), real + 2);
        if (allocated < 0 || clusters <= most)
        {
            return false;
        }

        var entry = new byte[8];
        var block = new byte[geometry.ClusterSize];
        long blocks = Math.Min(
            ((clusters - 1) >> geometry.RefcountBlockBits) + 1, ((long)header.RefcountTableClusters << geometry.ClusterBits) / 8);
        long used = 0, read = 0;
        for (long i = 0; i < blocks; i++)
        {
            await storage.ReadAsync((long)header.RefcountTableOffset + (i * 8), entry, cancellationToken);
            long offset = (long)(BinaryPrimitives.ReadUInt64BigEndian(entry) & 0x7fff_ffff_ffff_fe00);
            if (offset == 0 || offset >= storage.Length)
            {
                continue;
            }

            await storage.ReadAsync(offset, block, cancellationToken);
            read += block.Length;
            used += Used(block);
            if (used > most || read > MaxBytesRead)
            {
                return true;
            }
        }

        return false;
    }

    private long Used(byte[] block)
    {
        if (block.AsSpan().IndexOfAnyExcept((byte)0) < 0)
        {
            return 0;
        }

        long used = 0;
        for (int i = 0; i < 1 << geometry.RefcountBlockBits; i++)
        {
            used += RefcountCodec.Get(block, i, geometry.RefcountOrder) != 0 ? 1 : 0;
        }

        return used;
    }
}
