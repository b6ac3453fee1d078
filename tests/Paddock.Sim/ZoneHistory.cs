using Paddock.Block;

namespace Paddock.Sim;

/// <summary>
/// History of a sequential zone, and its permitted states after a power cut. An epoch lies between two resets; within it a sector is
/// written at most once, so the epoch is the version of all its sectors.
/// </summary>
/// <param name="capacity">Writable bytes of the zone.</param>
internal sealed class ZoneHistory(long capacity)
{
    private readonly List<Event> _events = [];
    private uint _epoch = 1;

    private enum Happening
    {
        Write,
        Finish,
        Reset,
    }

    /// <summary>Version of data written in the current epoch.</summary>
    public uint Epoch => _epoch;

    /// <summary>Bytes written and acknowledged in this epoch, from the start of the zone.</summary>
    public long Written { get; private set; }

    /// <summary>Whether a finish or a write to the capacity was acknowledged in this epoch.</summary>
    public bool Full { get; private set; }

    /// <summary>
    /// Records a write or append in flight that ends at a position in the zone, or the offset of an append once it is known.
    /// </summary>
    public void Wrote(TimedOp op, long end) => _events.Add(new Event(op, Happening.Write, _epoch, end));

    /// <summary>Records the acknowledgement of a write that ends at a position in the zone.</summary>
    public void Acknowledged(long end)
    {
        Written = Math.Max(Written, end);
        Full |= Written == capacity;
    }

    /// <summary>Records a finish in flight.</summary>
    public void Finishing(TimedOp op) => _events.Add(new Event(op, Happening.Finish, _epoch, Written));

    /// <summary>Records the acknowledgement of a finish.</summary>
    public void Finished() => Full = true;

    /// <summary>Records a reset in flight.</summary>
    public void Resetting(TimedOp op) => _events.Add(new Event(op, Happening.Reset, _epoch, 0));

    /// <summary>Records the acknowledgement of a reset.</summary>
    public void WasReset()
    {
        _epoch++;
        Written = 0;
        Full = false;
    }

    /// <summary>Throws unless a zone may be in this state after a cut at this log position.</summary>
    /// <param name="position">Log position of the cut.</param>
    /// <param name="zone">Zone as reported.</param>
    /// <param name="data">All bytes of the zone.</param>
    public void CheckAfterCut(int position, in ZoneDescriptor zone, ReadOnlySpan<byte> data)
    {
        long pointer = zone.WritePointer - zone.Start;
        var expected = pointer == 0 ? ZoneCondition.Empty : pointer >= zone.Capacity ? ZoneCondition.Full : ZoneCondition.Closed;
        SimFailure.Unless(zone.Condition == expected, $"zone at {zone.Start}: pointer {pointer}, condition {zone.Condition}");
        string why = "";
        foreach (var state in StatesAt(position))
        {
            string? wrong = Mismatch(state, zone, pointer, data);
            if (wrong is null)
            {
                return;
            }

            why += $" [{state.Epoch}: {state.Low}..{state.High}{(state.MayBeFull ? $", finished at {state.FinishedAt}" : "")}: {wrong}]";
        }

        throw new SimFailure(
            $"zone at {zone.Start} after a cut at {position}: pointer {pointer}, {zone.Condition}, but{why}; {Describe()}");
    }

    private static string? Mismatch(in State state, in ZoneDescriptor zone, long pointer, ReadOnlySpan<byte> data)
    {
        long end = pointer;
        if (zone.Condition == ZoneCondition.Full)
        {
            if (state.High < zone.Capacity && !state.MayBeFull)
            {
                return "it was never full";
            }

            end = state.MayBeFull && state.FinishedAt < zone.Capacity ? state.FinishedAt : zone.Capacity;
        }
        else if (state.MustBeFull)
        {
            return "it was finished for good";
        }
        else if (pointer < state.Low || pointer > state.High)
        {
            return "its pointer cannot be there";
        }

        for (int at = 0; at < data.Length; at += SectorPattern.Sector)
        {
            long found = SectorPattern.Identify(data.Slice(at, SectorPattern.Sector), zone.Start + at);
            if (found != (at < end ? state.Epoch : 0))
            {
                return $"byte {at} is of version {found}";
            }
        }

        return null;
    }

    private List<State> StatesAt(int position)
    {
        var states = new List<State> { new(1, 0, 0) };
        foreach (var happened in _events)
        {
            if (!happened.Op.StartedBy(position))
            {
                continue;
            }

            bool durable = happened.Op.DurablePosition <= position;
            if (durable)
            {
                // earlier data must not reappear
                states.RemoveRange(0, states.Count - 1);
            }

            var now = states[^1];
            switch (happened.What)
            {
                case Happening.Write:
                    states[^1] = now with { High = Math.Max(now.High, happened.End), Low = durable ? Math.Max(now.Low, happened.End)
                        : now.Low };
                    break;
                case Happening.Finish:
                    states[^1] = now with { MayBeFull = true, MustBeFull = durable, FinishedAt = happened.End };
                    break;
                default:
                    states.Add(new State(happened.Epoch + 1, 0, 0));
                    if (durable)
                    {
                        states.RemoveAt(0);
                    }

                    break;
            }
        }

        return states;
    }

    private string Describe() => string.Join(", ", _events.TakeLast(12).Select(e =>
        $"{e.What} to {e.End} in {e.Epoch} [{e.Op.StartPosition}..{e.Op.AckPosition}, durable "
            + $"{e.Op.DurablePosition}{(e.Op.Refused ? ", refused" : "")}]"));

    private readonly record struct Event(TimedOp Op, Happening What, uint Epoch, long End);

    private readonly record struct State(uint Epoch, long Low, long High)
    {
        public bool MayBeFull { get; init; }

        public bool MustBeFull { get; init; }

        public long FinishedAt { get; init; }
    }
}
