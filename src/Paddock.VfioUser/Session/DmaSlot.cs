using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>
/// A DMA request in flight. Its state changes under the lock of <see cref="DmaMessages"/>, except by the message thread while that copies a
/// reply.
/// </summary>
/// <param name="index">Number of the slot.</param>
internal sealed unsafe class DmaSlot(int index)
{
    private const int Idle = 0, Sent = 1, Replying = 2, Done = 3, Failed = 4;

    // a monitor, since the worker waits on it
    private readonly object _changed = new();
    private int _state = Idle;
    private int _generation;

    /// <summary>Message ID: another one for each use of the slot, so that a late reply is recognized.</summary>
    public ushort Id { get; private set; } = (ushort)index;

    /// <summary>The command.</summary>
    public Command Command { get; private set; }

    /// <summary>Where the data of a read go.</summary>
    public byte* Data { get; private set; }

    /// <summary>Bytes of data.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the request was answered or given up.</summary>
    public bool HasEnded => _state is Done or Failed;

    /// <summary>Prepares the slot for a request.</summary>
    public void Begin(Command command, byte* data, int count)
    {
        _generation = (_generation + 1) % (ushort.MaxValue / VfioUserLimits.MaxDmaMessages);
        Id = (ushort)((_generation * VfioUserLimits.MaxDmaMessages) + index);
        Command = command;
        Data = data;
        Count = count;
        _state = Sent;
    }

    /// <summary>Whether the request still waits for its reply; from then on, the message thread may use <see cref="Data"/>.</summary>
    public bool BeginReply()
    {
        if (_state != Sent)
        {
            return false;
        }

        _state = Replying;
        return true;
    }

    /// <summary>Ends a reply.</summary>
    public void Complete(bool succeeded)
    {
        End(succeeded ? Done : Failed);
    }

    /// <summary>Fails the request, unless its reply is being copied: that ends soon.</summary>
    public void GiveUp()
    {
        if (_state == Sent)
        {
            End(Failed);
        }
    }

    /// <summary>Waits for the reply.</summary>
    public bool Wait()
    {
        lock (_changed)
        {
            while (_state is Sent or Replying)
            {
                Monitor.Wait(_changed);
            }

            return _state == Done;
        }
    }

    private void End(int state)
    {
        lock (_changed)
        {
            _state = state;
            Monitor.Pulse(_changed);
        }
    }
}
