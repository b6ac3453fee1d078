namespace Paddock.Sim;

/// <summary>What was written to each sector of a disk that takes writes anywhere, and so what each may hold after a power cut.</summary>
internal sealed class SectorHistory
{
    private readonly List<Entry>[] _entries;
    private readonly uint[] _start;
    private readonly uint[] _now;

    /// <param name="start">Version that each sector holds at first, durably.</param>
    public SectorHistory(uint[] start)
    {
        _start = (uint[])start.Clone();
        _now = (uint[])start.Clone();
        _entries = new List<Entry>[start.Length];
        for (int i = 0; i < start.Length; i++)
        {
            _entries[i] = [];
        }
    }

    /// <summary>Number of sectors.</summary>
    public int Sectors => _start.Length;

    /// <summary>What a read must give now.</summary>
    public uint Now(long sector) => _now[sector];

    /// <summary>A write of one version over a range begins.</summary>
    public void Write(TimedOp op, long offset, long length, uint version)
    {
        for (long sector = offset / SectorPattern.Sector; sector < (offset + length) / SectorPattern.Sector; sector++)
        {
            _entries[sector].Add(new Entry(op, version, Hint: false));
        }
    }

    /// <summary>A write was acknowledged: reads see it.</summary>
    public void Acknowledged(long offset, long length, uint version)
        => _now.AsSpan((int)(offset / SectorPattern.Sector), (int)(length / SectorPattern.Sector)).Fill(version);

    /// <summary>A discard of one sector was acknowledged and a read then found this version: the old one or zeroes.</summary>
    public void Discarded(TimedOp op, long sector, uint found)
    {
        SimFailure.Unless(found == 0 || found == _now[sector], $"sector {sector}: discard made version {found} of {_now[sector]}");
        _entries[sector].Add(new Entry(op, found, Hint: true));
        _now[sector] = found;
    }

    /// <summary>Throws unless a read now may find this.</summary>
    public void CheckNow(long sector, long found)
        => SimFailure.Unless(found == _now[sector], $"sector {sector}: read finds version {found}, not {_now[sector]}");

    /// <summary>Throws unless a read after a power cut at this log position may find this.</summary>
    public void CheckAfterCut(long sector, long found, int position)
    {
        bool allowed = found == _start[sector];
        foreach (var entry in _entries[sector])
        {
            if (!entry.Op.StartedBy(position))
            {
                continue;
            }

            if (entry.Op.DurablePosition <= position)
            {
                allowed = false;
            }

            allowed |= found == entry.Version || (entry.Hint && entry.Op.DurablePosition > position && found == 0);
        }

        SimFailure.Unless(allowed, $"sector {sector} after a cut at {position}: finds version {found}; history: {Describe(sector)}");
    }

    private string Describe(long sector) => $"start {_start[sector]}" + string.Concat(
        _entries[sector].Select(entry => $", {(entry.Hint ? "discard" : "write")} {entry.Version} "
            + $"[{entry.Op.StartPosition}..{entry.Op.AckPosition}, durable "
            + $"{entry.Op.DurablePosition}{(entry.Op.Refused ? ", refused" : "")}]"));

    private readonly record struct Entry(TimedOp Op, uint Version, bool Hint);
}
