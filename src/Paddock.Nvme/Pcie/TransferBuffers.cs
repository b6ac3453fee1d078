using Paddock.Nvme.Target;
using Paddock.Serving;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Buffers for commands with data. A few small ones are kept between commands, which saves the locks of the pool. Used by the worker only.
/// </summary>
/// <param name="pool">Where buffers come from.</param>
internal sealed class TransferBuffers(SlabPool pool)
{
    private const int MostKept = 32;

    private readonly Stack<Slab> _kept = new(MostKept);

    /// <summary>Whether no buffer is kept.</summary>
    public bool IsEmpty => _kept.Count == 0;

    /// <summary>Rents a buffer for so much data; null when the pool's limit is reached.</summary>
    public Slab? TryRent(int data)
        => TransferBuffer.SizeFor(data) <= SlabPool.SmallestSize && _kept.TryPop(out var slab) ? slab : pool.TryRentTransfer(data);

    /// <summary>Takes a buffer that the caller holds no longer.</summary>
    public void Return(Slab slab)
    {
        if (_kept.Count < MostKept && slab.Bytes.Length == SlabPool.SmallestSize && slab.IsMine)
        {
            _kept.Push(slab);
        }
        else
        {
            slab.Release();
        }
    }

    /// <summary>Returns all kept buffers to the pool.</summary>
    public void Clear()
    {
        while (_kept.TryPop(out var slab))
        {
            slab.Release();
        }
    }
}
