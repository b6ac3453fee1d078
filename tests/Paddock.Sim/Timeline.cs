namespace Paddock.Sim;

/// <summary>One changing request of a client, with the moments of the disk's log at which it began and was acknowledged.</summary>
internal sealed class TimedOp
{
    /// <summary>Log entries before the request began.</summary>
    public required int StartPosition { get; init; }

    /// <summary>Order of beginnings and acknowledgements.</summary>
    public required int StartTick { get; init; }

    /// <summary>Log entries when it was acknowledged.</summary>
    public int AckPosition { get; set; } = int.MaxValue;

    /// <summary>Order of beginnings and acknowledgements.</summary>
    public int AckTick { get; set; } = int.MaxValue;

    /// <summary>True for a request that is durable by itself.</summary>
    public bool Fua { get; init; }

    /// <summary>True when the device refused it: it must have changed nothing.</summary>
    public bool Refused { get; set; }

    /// <summary>From this log position on a power cut must not undo it.</summary>
    public int DurablePosition { get; set; } = int.MaxValue;

    /// <summary>True when a cut at this log position may show its effect.</summary>
    public bool StartedBy(int position) => !Refused && StartPosition <= position;
}

/// <summary>All changing requests of a run, and from when on each of them is durable (spec section 4).</summary>
/// <param name="position">Gives the number of log entries so far.</param>
internal sealed class Timeline(Func<int> position)
{
    private readonly List<TimedOp> _ops = [];
    private readonly List<TimedOp> _flushes = [];
    private int _tick;

    /// <summary>A request begins.</summary>
    public TimedOp Begin(bool fua = false)
    {
        var op = new TimedOp { StartPosition = position(), StartTick = ++_tick, Fua = fua };
        _ops.Add(op);
        return op;
    }

    /// <summary>A flush begins.</summary>
    public TimedOp BeginFlush()
    {
        var op = new TimedOp { StartPosition = position(), StartTick = ++_tick };
        _flushes.Add(op);
        return op;
    }

    /// <summary>A request or flush was acknowledged.</summary>
    public void Acknowledge(TimedOp op)
    {
        op.AckPosition = position();
        op.AckTick = ++_tick;
    }

    /// <summary>Works out from when on each request is durable: call it when the run is over.</summary>
    public void Seal()
    {
        foreach (var op in _ops)
        {
            if (op.AckTick == int.MaxValue)
            {
                continue;
            }

            op.DurablePosition = op.Fua ? op.AckPosition : int.MaxValue;
            foreach (var flush in _flushes)
            {
                if (flush.StartTick > op.AckTick)
                {
                    op.DurablePosition = Math.Min(op.DurablePosition, flush.AckPosition);
                }
            }
        }
    }
}
