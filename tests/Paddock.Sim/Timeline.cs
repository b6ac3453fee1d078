namespace Paddock.Sim;

/// <summary>Modifying request of a client, with the log positions at which it began and was acknowledged.</summary>
internal sealed class TimedOp
{
    /// <summary>Number of log entries before the request began.</summary>
    public required int StartPosition { get; init; }

    /// <summary>Sequence number among starts and acknowledgements.</summary>
    public required int StartTick { get; init; }

    /// <summary>Number of log entries at the acknowledgement.</summary>
    public int AckPosition { get; set; } = int.MaxValue;

    /// <summary>Sequence number among starts and acknowledgements.</summary>
    public int AckTick { get; set; } = int.MaxValue;

    /// <summary>Whether the request is durable on its own.</summary>
    public bool Fua { get; init; }

    /// <summary>Whether the device rejected the request, which must then have changed nothing.</summary>
    public bool Refused { get; set; }

    /// <summary>Log position from which a power cut must not undo the request.</summary>
    public int DurablePosition { get; set; } = int.MaxValue;

    /// <summary>Whether a cut at this log position may show the effect of the request.</summary>
    public bool StartedBy(int position) => !Refused && StartPosition <= position;
}

/// <summary>All modifying requests of a run, and the moment from which each is durable (spec section 4).</summary>
/// <param name="position">Returns the current number of log entries.</param>
internal sealed class Timeline(Func<int> position)
{
    private readonly List<TimedOp> _ops = [];
    private readonly List<TimedOp> _flushes = [];
    private int _tick;

    /// <summary>Records the start of a request.</summary>
    public TimedOp Begin(bool fua = false)
    {
        var op = new TimedOp { StartPosition = position(), StartTick = ++_tick, Fua = fua };
        _ops.Add(op);
        return op;
    }

    /// <summary>Records the start of a flush.</summary>
    public TimedOp BeginFlush()
    {
        var op = new TimedOp { StartPosition = position(), StartTick = ++_tick };
        _flushes.Add(op);
        return op;
    }

    /// <summary>Records the acknowledgement of a request or flush.</summary>
    public void Acknowledge(TimedOp op)
    {
        op.AckPosition = position();
        op.AckTick = ++_tick;
    }

    /// <summary>Computes when each request becomes durable; called after the run.</summary>
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
