using Paddock.Serving;

namespace Paddock.Nbd.Transport;

/// <summary>
/// Bytes that came and were not used yet, as many as one call brought: a batch of requests costs one call. A request may keep a part
/// of the buffer by holding its slab; then the next bytes go to another.
/// </summary>
/// <param name="channel">Where bytes come from.</param>
/// <param name="pool">Where memory comes from.</param>
/// <param name="first">The buffer to begin with, of the pool's standard size; owned.</param>
internal sealed class ReceiveBuffer(IByteChannel channel, SlabPool pool, Slab first) : IDisposable
{
    private Slab _slab = first;
    private int _start;
    private int _end;

    /// <summary>The longest run that <see cref="Fill"/> can bring together.</summary>
    public static int Capacity => SlabPool.StandardSize;

    /// <summary>Where bytes come from; changes once, when TLS begins.</summary>
    public IByteChannel Channel { get; set; } = channel;

    /// <summary>What is there.</summary>
    public ReadOnlySpan<byte> Available => _slab.Bytes.AsSpan(_start, _end - _start);

    /// <summary>How much is there.</summary>
    public int Count => _end - _start;

    /// <summary>What the memory of <see cref="Memory"/> stands in; hold it to keep that memory.</summary>
    public Slab Slab => _slab;

    /// <summary>A part of what is there.</summary>
    public ReadOnlyMemory<byte> Memory(int at, int length) => _slab.Bytes.AsMemory(_start + at, length);

    /// <summary>Drops bytes from the front.</summary>
    public void Consume(int count) => _start += count;

    /// <summary>Waits for more bytes than there are.</summary>
    /// <param name="wanted">How many must be there together to go on; they have room.</param>
    /// <returns>False at the end.</returns>
    public bool Fill(int wanted)
    {
        MakeRoom(wanted);
        int came = Channel.Receive(_slab.Bytes.AsSpan(_end));
        _end += came;
        return came > 0;
    }

    /// <summary>Waits until so many bytes are there.</summary>
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

    /// <summary>Drops so many bytes, those that have not come yet among them.</summary>
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

    /// <summary>Moves bytes out: what is there, then straight from the channel.</summary>
    /// <returns>False when the end came first.</returns>
    public bool Take(Span<byte> into)
    {
        int there = Math.Min(into.Length, Count);
        Available[..there].CopyTo(into);
        Consume(there);
        for (into = into[there..]; into.Length > 0;)
        {
            // a short rest comes with what follows it
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

        // a small rest at the end would cost calls that bring little
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
