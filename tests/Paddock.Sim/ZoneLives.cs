namespace Paddock.Sim;

/// <summary>
/// History of a sequential zone whose sectors may be copies, or unreadable: one life from each reset to the next, with the version of every
/// sector that was written in it.
/// </summary>
internal sealed class ZoneLives
{
    private readonly List<Life> _lives = [new(null)];

    /// <summary>Versions of the written sectors.</summary>
    public IReadOnlyList<uint> Now => _lives[^1].Versions;

    /// <summary>Version that a read of a sector must currently return.</summary>
    public uint VersionAt(int sector) => sector < Now.Count ? Now[sector] : 0;

    /// <summary>Records the start of a write of these versions at the write pointer.</summary>
    public void Write(TimedOp op, IReadOnlyList<uint> versions) => _lives[^1].Pending.Add((op, [.. versions]));

    /// <summary>Records the end of the latest write.</summary>
    /// <param name="written">Whether it was acknowledged; if not, the pointer has not moved.</param>
    public void Ended(bool written)
    {
        var life = _lives[^1];
        if (written)
        {
            life.Versions.AddRange(life.Pending[^1].Versions);
        }
        else
        {
            life.Pending.RemoveAt(life.Pending.Count - 1);
        }
    }

    /// <summary>Records the start of a reset, which is durable when it is acknowledged.</summary>
    public void Reset(TimedOp op) => _lives.Add(new(op));

    /// <summary>Throws unless the zone may be like this after a power cut at a position.</summary>
    /// <param name="position">Log position of the cut.</param>
    /// <param name="written">Sectors below the write pointer.</param>
    /// <param name="found">Versions of all sectors.</param>
    public void CheckAfterCut(int position, int written, long[] found)
    {
        for (int i = _lives.Count - 1; i >= 0; i--)
        {
            var life = _lives[i];
            if (life.Begun is { } begun && !begun.StartedBy(position))
            {
                continue;
            }

            if (life.Allows(position, written, found))
            {
                return;
            }

            if (life.Begun is null || life.Begun.DurablePosition <= position)
            {
                break;
            }
        }

        throw new SimFailure(
            $"zone after a cut at {position}: {written} sectors, which read as {string.Join(' ', found.Take(40))}; latest: "
            + string.Join(' ', Now.Take(40)));
    }

    private sealed class Life(TimedOp? begun)
    {
        public TimedOp? Begun => begun;

        public List<uint> Versions { get; } = [];

        public List<(TimedOp Op, uint[] Versions)> Pending { get; } = [];

        public bool Allows(int position, int written, long[] found)
        {
            int at = 0, durable = 0;
            foreach (var (op, versions) in Pending)
            {
                if (!op.StartedBy(position))
                {
                    break;
                }

                for (int i = 0; i < versions.Length; i++, at++)
                {
                    if (at < written && found[at] != versions[i])
                    {
                        return false;
                    }
                }

                durable = op.DurablePosition <= position ? at : durable;
            }

            return written >= durable && written <= at && Array.TrueForAll(found[written..], static v => v == 0);
        }
    }
}
