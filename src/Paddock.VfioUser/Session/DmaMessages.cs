using Paddock.VfioUser.Memory;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>
/// DMA with messages ("VFIO_USER_DMA_READ", "VFIO_USER_DMA_WRITE"): workers send requests and wait, the message thread hands them the
/// replies. Must not be used on the message thread, which would wait for itself.
/// </summary>
internal sealed class DmaMessages : IDmaMessages, IDisposable
{
    private const int PollMilliseconds = 1;

    private readonly Outbox _outbox;
    private readonly Lock _lock = new();
    private readonly DmaSlot[] _slots = [.. Enumerable.Range(0, VfioUserLimits.MaxDmaMessages).Select(i => new DmaSlot(i))];
    // in turn, so that a late reply to a request that was given up still finds its slot unused
    private readonly Queue<DmaSlot> _free;
    private readonly SemaphoreSlim _places = new(VfioUserLimits.MaxDmaMessages);
    private int _suspensions;
    private int _maxTransfer = VfioUserLimits.MaxTransfer;
    private long _sent;

    /// <param name="outbox">Sends the requests.</param>
    public DmaMessages(Outbox outbox)
    {
        _outbox = outbox;
        _free = new Queue<DmaSlot>(_slots);
    }

    /// <summary>Number of requests so far.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    /// <summary>Sets the maximum data of a request, in bytes.</summary>
    public void SetMaxTransfer(int bytes) => Volatile.Write(ref _maxTransfer, bytes);

    /// <inheritdoc/>
    public unsafe bool TryRead(ulong address, Span<byte> to)
    {
        while (to.Length > 0)
        {
            int count = Math.Min(to.Length, Volatile.Read(ref _maxTransfer));
            fixed (byte* data = to)
            {
                if (!TryRun(Command.DmaRead, address, data, count))
                {
                    return false;
                }
            }

            address += (ulong)count;
            to = to[count..];
        }

        return true;
    }

    /// <inheritdoc/>
    public unsafe bool TryWrite(ulong address, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            int count = Math.Min(from.Length, Volatile.Read(ref _maxTransfer));
            fixed (byte* data = from)
            {
                if (!TryRun(Command.DmaWrite, address, data, count))
                {
                    return false;
                }
            }

            address += (ulong)count;
            from = from[count..];
        }

        return true;
    }

    /// <summary>Handles a reply, on the message thread. A reply to a request that was given up is skipped.</summary>
    /// <exception cref="VfioUserException">Not the reply to a request, or of another size.</exception>
    public unsafe void Receive(in MessageHeader header, MessageReader reader)
    {
        DmaSlot? slot;
        lock (_lock)
        {
            slot = _slots[header.Id % _slots.Length];
            if (slot.Id != header.Id || slot.Command != header.Command)
            {
                throw new VfioUserException($"a reply to {header.Command} {header.Id}, which was not sent");
            }

            slot = slot.BeginReply() ? slot : null;
        }

        int size = header.PayloadSize;
        if (slot is null || header.IsError)
        {
            Skip(reader, size);
            slot?.Complete(false);
            return;
        }

        // the size of a count in the reply to a write is 4 in the specification, 8 in practice
        int expected = DmaAccess.Size + (slot.Command == Command.DmaRead ? slot.Count : 0);
        bool isShort = slot.Command == Command.DmaWrite && size == DmaAccess.Size - sizeof(uint);
        if (size != expected && !isShort)
        {
            slot.Complete(false);
            throw new VfioUserException($"a reply to {slot.Command} with {size} bytes of payload: expected {expected}");
        }

        try
        {
            reader.ReadPayload(isShort ? size : DmaAccess.Size);
            if (slot.Command == Command.DmaRead)
            {
                reader.CopyPayload(new Span<byte>(slot.Data, slot.Count));
            }
        }
        catch
        {
            slot.Complete(false);
            throw;
        }

        slot.Complete(true);
    }

    /// <inheritdoc/>
    /// <remarks>A reset waits for the workers, and these must not wait for a client that waits for the reset.</remarks>
    public void Suspend()
    {
        lock (_lock)
        {
            _suspensions++;
            Array.ForEach(_slots, slot => slot.GiveUp());
        }
    }

    /// <inheritdoc/>
    public void Resume()
    {
        lock (_lock)
        {
            _suspensions--;
        }
    }

    /// <summary>Fails the requests in flight and all later ones.</summary>
    public void Dispose() => Suspend();

    private static void Skip(MessageReader reader, int count)
    {
        while (count > 0)
        {
            count -= reader.ReadPayload(Math.Min(count, VfioUserLimits.MaxRequest - MessageHeader.Size)).Length;
        }
    }

    private unsafe bool TryRun(Command command, ulong address, byte* data, int count)
    {
        _places.Wait();
        DmaSlot? slot = null;
        try
        {
            lock (_lock)
            {
                if (_suspensions > 0)
                {
                    return false;
                }

                slot = _free.Dequeue();
                slot.Begin(command, data, count);
            }

            return TrySend(slot, address, command == Command.DmaWrite ? new ReadOnlySpan<byte>(data, count) : default) && slot.Wait();
        }
        catch (EndOfStreamException)
        {
            // a client may reply to what it has not received: the buffer must not be in use after the return
            lock (_lock)
            {
                slot!.GiveUp();
            }

            slot.Wait();
            return false;
        }
        finally
        {
            lock (_lock)
            {
                if (slot is not null)
                {
                    _free.Enqueue(slot);
                }
            }

            _places.Release();
        }
    }

    // false: the request was given up before it could be sent
    private bool TrySend(DmaSlot slot, ulong address, ReadOnlySpan<byte> data)
    {
        // the message thread holds the outbox while a client waits for its reply, which a reset may have to come before
        while (!_outbox.TryHold(PollMilliseconds))
        {
            if (HasEnded(slot))
            {
                return false;
            }
        }

        try
        {
            if (HasEnded(slot))
            {
                return false;
            }

            Send(slot, address, data);
            return true;
        }
        finally
        {
            _outbox.Release();
        }
    }

    private bool HasEnded(DmaSlot slot)
    {
        lock (_lock)
        {
            return slot.HasEnded;
        }
    }

    private void Send(DmaSlot slot, ulong address, ReadOnlySpan<byte> data)
    {
        Span<byte> message = stackalloc byte[MessageHeader.Size + DmaAccess.Size];
        new MessageHeader(slot.Id, slot.Command, (uint)(message.Length + data.Length), HeaderFlags.None).WriteTo(message);
        new DmaAccess(address, (ulong)slot.Count).WriteTo(message[MessageHeader.Size..]);
        Interlocked.Increment(ref _sent);
        _outbox.Send(message, data);
    }
}
