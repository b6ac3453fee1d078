using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Bytes received and not parsed yet. Commands may refer to data in the slab; it is then left to them, and receiving continues in another
/// one.
/// </summary>
/// <param name="pool">Provides the next slab.</param>
/// <param name="slab">The first slab; owned.</param>
internal sealed class PduBuffer(SlabPool pool, Slab slab)
{
    // a receive call for less is not worth it
    private const int SmallestRead = 8 << 10;

    private Slab _slab = slab;
    private int _start, _end;

    /// <summary>What holds the bytes now.</summary>
    public Slab Slab => _slab;

    /// <summary>Number of unparsed bytes.</summary>
    public int Length => _end - _start;

    /// <summary>The unparsed bytes.</summary>
    public ReadOnlySpan<byte> Unread => _slab.Bytes.AsSpan(_start, _end - _start);

    /// <summary>A part of the unparsed bytes, valid for as long as its slab is held.</summary>
    public Memory<byte> Slice(int offset, int length) => _slab.Bytes.AsMemory(_start + offset, length);

    /// <summary>Drops parsed bytes.</summary>
    public void Consume(int bytes) => _start += bytes;

    /// <summary>Records bytes that were received into the memory that <see cref="Reserve"/> returned.</summary>
    public void Append(int bytes) => _end += bytes;

    /// <summary>Memory for the next bytes; together with the unparsed bytes there is room for a whole PDU.</summary>
    /// <param name="pdu">Length of the PDU that the unparsed bytes start.</param>
    /// <exception cref="PduException">The server's memory limit is reached.</exception>
    public Memory<byte> Reserve(int pdu)
    {
        int rest = _end - _start;
        if (rest == 0 && _slab.IsMine)
        {
            _start = _end = 0;
        }
        else if (_slab.Bytes.Length - _end < Math.Max(SmallestRead, pdu - rest))
        {
            MoveToFront(rest);
        }

        return _slab.Bytes.AsMemory(_end);
    }

    /// <summary>Returns the slab to its pool.</summary>
    public void Release() => _slab.Release();

    private void MoveToFront(int rest)
    {
        if (_slab.IsMine)
        {
            _slab.Bytes.AsSpan(_start, rest).CopyTo(_slab.Bytes);
        }
        else
        {
            var fresh = pool.TryRent(SlabPool.StandardSize)
                ?? throw new PduException(FatalError.DataLimit, 0, "the server's memory limit is reached");
            _slab.Bytes.AsSpan(_start, rest).CopyTo(fresh.Bytes);
            _slab.Release();
            _slab = fresh;
        }

        _start = 0;
        _end = rest;
    }
}
