using Paddock.Nbd.Transport;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>Gathers the replies of one batch of requests in memory, to be sent by one call. For the receive loop alone.</summary>
internal sealed class ReplyWriter(SlabPool pool, SendQueue queue) : IDisposable
{
    private Slab _slab = pool.Rent();
    private int _start;
    private int _end;

    /// <summary>The longest run that can be taken.</summary>
    public static int Capacity => SlabPool.StandardSize;

    /// <summary>What the memory that <see cref="Take"/> gave stands in.</summary>
    public Slab Slab => _slab;

    /// <summary>How many bytes are gathered.</summary>
    public int Count => _end - _start;

    /// <summary>Room for a reply; it counts as written.</summary>
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

    /// <summary>Takes back what <see cref="Take"/> gave last.</summary>
    public void Undo(int count) => _end -= count;

    /// <summary>Leaves what <see cref="Take"/> gave last to a request that holds the slab: it is sent when that is ready.</summary>
    public void Detach(int count)
    {
        _end -= count;
        Push();
        _start = _end += count;
    }

    /// <summary>Hands what is gathered to the queue.</summary>
    public void Push()
    {
        if (_end > _start)
        {
            _slab.Hold();
            queue.Add(_slab.Bytes.AsMemory(_start, _end - _start), _slab);
            _start = _end;
        }
    }

    /// <summary>Begins at the front again where nothing is left to send.</summary>
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
