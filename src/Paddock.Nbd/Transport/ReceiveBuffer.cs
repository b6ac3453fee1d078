using Paddock.Serving;

namespace Paddock.Nbd.Transport;

/// <summary>
/// Received bytes that have not been parsed, filled by one call, so that a batch of requests costs one call. A request may keep a part
/// of the buffer by holding its slab; later bytes then go to another slab.
/// </summary>
/// <param name="channel">Source of the bytes.</param>
/// <param name="pool">Source of memory.</param>
/// <param name="first">The first buffer, of the pool's standard size; owned.</param>
internal sealed class ReceiveBuffer(IByteChannel channel, SlabPool pool, Slab first) : IDisposable
{
    private Slab _slab = first;
    private int _start;
    private int _end;

    /// <summary>Maximum number of contiguous bytes of <see cref="Fill"/>.</summary>
    public static int Capacity => SlabPool.StandardSize;

    /// <summary>Source of the bytes; changes once, when TLS begins.</summary>
    public IByteChannel Channel { get; set; } = channel;

    /// <summary>The buffered bytes.</summary>
    public ReadOnlySpan<byte> Available => _slab.Bytes.AsSpan(_start, _end - _start);

    /// <summary>Number of buffered bytes.</summary>
    public int Count => _end - _start;

    /// <summary>Owner of the memory of <see cref="Memory"/>; add a reference to keep that memory.</summary>
    public Slab Slab => _slab;

    /// <summary>A part of the buffered bytes.</summary>
    public ReadOnlyMemory<byte> Memory(int at, int length) => _slab.Bytes.AsMemory(_start + at, length);

    /// <summary>Removes bytes from the start.</summary>
    public void Consume(int count) => _start += count;

    /// <summary>Waits for further bytes.</summary>
    /// <param name="wanted">Number of contiguous bytes that the caller requires next; room is made for them.</param>
    /// <returns>False at the end of the stream.</returns>
    public bool Fill(int wanted)
    {
        MakeRoom(wanted);
        int came = Channel.Receive(_slab.Bytes.AsSpan(_end));
        _end += came;
        return came > 0;
    }

    /// <summary>Waits until the given number of bytes is buffered.</summary>
    /// <returns>False when the end came first.</returns>
    public bool Ensure(int wanted)
    {
        while (Count < wanted)
        {
            if (!Fill(wanted))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Skips the given number of bytes, buffered or not.</summary>
    /// <returns>False when the end came first.</returns>
    public bool Skip(int count)
    {
        while (count > 0)
        {
            if (Count == 0 && !Fill(1))
            {
                return false;
            }

            int part = Math.Min(count, Count);
            Consume(part);
            count -= part;
        }

        return true;
    }

    /// <summary>Copies bytes out: the buffered ones first, the rest directly from the channel.</summary>
    /// <returns>False when the end came first.</returns>
    public bool Take(Span<byte> into)
    {
        int there = Math.Min(into.Length, Count);
        Available[..there].CopyTo(into);
        Consume(there);
        for (into = into[there..]; into.Length > 0;)
        {
            // a short rest is received together with the bytes after it
            if (into.Length < 16384)
            {
                return Ensure(into.Length) && Take(into);
            }

            int came = Channel.Receive(into);
            if (came == 0)
            {
                return false;
            }

            into = into[came..];
        }

        return true;
    }

    public void Dispose() => _slab.Release();

    private void MakeRoom(int wanted)
    {
        if (_start == _end && _slab.IsMine)
        {
            _start = _end = 0;
        }

        // a small rest at the end of the buffer would cost calls that receive little
        if (_slab.Bytes.Length - _start >= wanted && _slab.Bytes.Length - _end >= 65536)
        {
            return;
        }

        int count = Count;
        if (_slab.IsMine)
        {
            Available.CopyTo(_slab.Bytes);
        }
        else
        {
            var next = pool.Rent();
            Available.CopyTo(next.Bytes);
            _slab.Release();
            _slab = next;
        }

        (_start, _end) = (0, count);
    }
}
