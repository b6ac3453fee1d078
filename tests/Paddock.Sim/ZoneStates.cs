using Paddock.Block;

namespace Paddock.Sim;

/// <summary>
/// State of a sequential zone, and its permitted states after a power cut. An epoch lies between two resets and is the version of all
/// sectors written in it.
/// </summary>
/// <param name="capacity">Writable bytes of the zone.</param>
internal sealed class ZoneStates(long capacity)
{
    private List<State> _durable = [new State(1, 0, 0, false, false, 0)];

    /// <summary>Version of data written in the current epoch.</summary>
    public uint Epoch { get; private set; } = 1;

    /// <summary>Bytes written, from the start of the zone.</summary>
    public long Written { get; private set; }

    /// <summary>Whether a finish or a write to the capacity was acknowledged.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Whether the zone may be empty after a power cut.</summary>
    public bool MayBeEmpty => _durable.Exists(static s => s.Low == 0 && !s.MustBeFull);

    /// <summary>Records the start of a write that ends at a position.</summary>
    public void Writing(long end) => Change(s => s.Epoch == Epoch ? s with { High = Math.Max(s.High, end) } : s);

    /// <summary>Records the end of a write, and the number of bytes written.</summary>
    public void HasWritten(long end)
    {
        if (end > Written)
        {
            // the reset is durable before data of a later epoch is accepted: it reuses the space of the earlier epoch
            _durable.RemoveAll(s => s.Epoch != Epoch);
        }

        Written = end;
        IsFull |= Written == capacity;
        Change(s => s.Epoch == Epoch ? s with { High = Math.Min(s.High, Math.Max(s.Low, end)) } : s);
    }

    /// <summary>Records the start of a finish.</summary>
    public void Finishing()
        => Change(s => s.Epoch == Epoch && !IsFull ? s with { MayBeFull = true, FinishedAt = Written } : s);

    /// <summary>Records the end of a finish.</summary>
    public void HasFinished(bool done)
    {
        IsFull |= done;
        if (!IsFull)
        {
            Change(s => s.Epoch == Epoch ? s with { MayBeFull = s.MustBeFull } : s);
        }
    }

    /// <summary>Records the start of a reset.</summary>
    public void Resetting()
    {
        if (!_durable.Exists(s => s.Epoch == Epoch + 1))
        {
            _durable.Add(new State(Epoch + 1, 0, 0, false, false, 0));
        }
    }

    /// <summary>Records that a reset took effect, even if it failed.</summary>
    /// <param name="durably">Whether the reset was acknowledged.</param>
    public void WasReset(bool durably)
    {
        Epoch++;
        (Written, IsFull) = (0, false);
        if (durably)
        {
            _durable.RemoveAll(s => s.Epoch != Epoch);
        }
    }

    /// <summary>Records the acknowledgement of a flush.</summary>
    public void Flushed()
        => _durable = [new State(Epoch, Written, Written, IsFull && Written < capacity, IsFull && Written < capacity, Written)];

    /// <summary>Records the state of the zone after a restart.</summary>
    public void Found(in ZoneDescriptor zone, ReadOnlySpan<byte> data)
    {
        IsFull = zone.Condition == ZoneCondition.Full;
        int end = data.LastIndexOfAnyExcept((byte)0);
        Written = IsFull ? (end < 0 ? 0 : (end / SectorPattern.Sector * SectorPattern.Sector) + SectorPattern.Sector)
            : zone.WritePointer - zone.Start;
        if (Written > 0)
        {
            Epoch = (uint)SectorPattern.Identify(data[..SectorPattern.Sector], zone.Start);
        }
        else
        {
            Epoch = _durable.Max(static s => s.Epoch);
        }

        Flushed();
    }

    /// <summary>Throws unless the zone may be in this state after a power cut.</summary>
    public void Check(in ZoneDescriptor zone, ReadOnlySpan<byte> data, string when)
    {
        string why = "";
        foreach (var state in _durable)
        {
            if (Mismatch(state, zone, data) is not { } wrong)
            {
                return;
            }

            why += $" [{state}: {wrong}]";
        }

        throw new SimFailure($"zone at {zone.Start} {when}: pointer {zone.WritePointer - zone.Start}, {zone.Condition}, but{why}");
    }

    private string? Mismatch(in State state, in ZoneDescriptor zone, ReadOnlySpan<byte> data)
    {
        long end = zone.WritePointer - zone.Start;
        if (zone.Condition == ZoneCondition.Full)
        {
            if (state.High < capacity && !state.MayBeFull)
            {
                return "it was never full";
            }

            end = state.MayBeFull && state.FinishedAt < capacity ? state.FinishedAt : capacity;
        }
        else if (state.MustBeFull)
        {
            return "it was finished for good";
        }
        else if (end < state.Low || end > state.High)
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

    private void Change(Func<State, State> change) => _durable = _durable.ConvertAll(s => change(s));

    private readonly record struct State(uint Epoch, long Low, long High, bool MayBeFull, bool MustBeFull, long FinishedAt);
}
