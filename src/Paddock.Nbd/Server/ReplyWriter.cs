using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>Collects the replies of one batch of requests, to be sent by one call. For the receive loop only.</summary>
internal sealed class ReplyWriter(SlabPool pool, SendQueue queue) : IDisposable
{
    private Slab _slab = pool.Rent();
    private int _start;
    private int _end;

    /// <summary>Maximum size of a reply.</summary>
    public static int Capacity => SlabPool.StandardSize;

    /// <summary>Owner of the memory returned by <see cref="Take"/>.</summary>
    public Slab Slab => _slab;

    /// <summary>Number of collected bytes.</summary>
    public int Count => _end - _start;

    /// <summary>Reserves memory for a reply; it counts as written.</summary>
    public Memory<byte> Take(int count)
    {
        if (_slab.Bytes.Length - _end < count)
        {
            Push();
            Renew();
        }

        _end += count;
        return _slab.Bytes.AsMemory(_end - count, count);
    }

    /// <summary>Cancels the last <see cref="Take"/>.</summary>
    public void Undo(int count) => _end -= count;

    /// <summary>Leaves the memory of the last <see cref="Take"/> to a request that holds the slab and sends it when ready.</summary>
    public void Detach(int count)
    {
        _end -= count;
        Push();
        _start = _end += count;
    }

    /// <summary>Passes the collected replies to the queue.</summary>
    public void Push()
    {
        if (_end > _start)
        {
            _slab.Hold();
            queue.Add(_slab.Bytes.AsMemory(_start, _end - _start), _slab);
            _start = _end;
        }
    }

    /// <summary>Restarts at the start of the slab if nothing is left to send.</summary>
    public void Rewind()
    {
        if (_start == _end && _slab.IsMine)
        {
            _start = _end = 0;
        }
    }

    public void Dispose() => _slab.Release();

    private void Renew()
    {
        if (!_slab.IsMine)
        {
            _slab.Release();
            _slab = pool.Rent();
        }

        _start = _end = 0;
    }
}
