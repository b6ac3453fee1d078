namespace Paddock.Sim;

/// <summary>Write history of each sector of a randomly writable disk, and the contents permitted after a power cut.</summary>
internal sealed class SectorHistory
{
    private readonly List<Entry>[] _entries;
    private readonly uint[] _start;
    private readonly uint[] _now;

    /// <param name="start">Initial, durable version of each sector.</param>
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

    /// <summary>Version that a read must currently return.</summary>
    public uint Now(long sector) => _now[sector];

    /// <summary>Whether a sector of a range cannot be read.</summary>
    public bool HasUnreadable(int sector, int count) => _now.AsSpan(sector, count).Contains(SectorPattern.Unreadable);

    /// <summary>Records the start of a write of one version to a range.</summary>
    public void Write(TimedOp op, long offset, long length, uint version)
    {
        for (long sector = offset / SectorPattern.Sector; sector < (offset + length) / SectorPattern.Sector; sector++)
        {
            _entries[sector].Add(new Entry(op, version, Hint: false));
        }
    }

    /// <summary>Records the start of a copy: the versions of its source are those of the moment.</summary>
    /// <param name="op">The request.</param>
    /// <param name="source">First sector that is copied.</param>
    /// <param name="target">First sector that is overwritten.</param>
    /// <param name="count">Sectors.</param>
    /// <param name="copied">Numbers of contents that are not where they were written.</param>
    /// <returns>Versions of the target afterwards.</returns>
    public uint[] Copy(TimedOp op, int source, int target, int count, CopiedSectors copied)
    {
        var versions = new uint[count];
        for (int i = 0; i < count; i++)
        {
            versions[i] = copied.At(target + i, source + i, _now[source + i]);
            _entries[target + i].Add(new Entry(op, versions[i], Hint: false));
        }

        return versions;
    }

    /// <summary>Records the start of a request after which sectors have these versions.</summary>
    public void Write(TimedOp op, int sector, IReadOnlyList<uint> versions)
    {
        for (int i = 0; i < versions.Count; i++)
        {
            _entries[sector + i].Add(new Entry(op, versions[i], Hint: false));
        }
    }

    /// <summary>Records the acknowledgement of such a request, or of a copy.</summary>
    public void Acknowledged(int target, uint[] versions) => versions.CopyTo(_now, target);

    /// <summary>Records the acknowledgement of a write: reads return its data.</summary>
    public void Acknowledged(long offset, long length, uint version)
        => _now.AsSpan((int)(offset / SectorPattern.Sector), (int)(length / SectorPattern.Sector)).Fill(version);

    /// <summary>Records an acknowledged discard of one sector after which a read returned this version: the old one or zeroes.</summary>
    public void Discarded(TimedOp op, long sector, uint found)
    {
        SimFailure.Unless(found == 0 || found == _now[sector], $"sector {sector}: discard made version {found} of {_now[sector]}");
        _entries[sector].Add(new Entry(op, found, Hint: true));
        _now[sector] = found;
    }

    /// <summary>Throws unless a read may currently return this version.</summary>
    public void CheckNow(long sector, long found)
        => SimFailure.Unless(found == _now[sector], $"sector {sector}: read finds version {found}, not {_now[sector]}");

    /// <summary>Throws unless a read after a power cut at this log position may return this version.</summary>
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
