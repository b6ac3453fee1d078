using System.Collections;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The L2 tables of a snapshot in the making, which the disk uses too. A table is shared for good when its counts have gone up: by
/// the snapshot, table after table, or before the disk changes the table. Until then nothing writes where it refers to.
/// </summary>
/// <remarks>Changed under the image's metadata mutex; <see cref="Contains"/> is asked at any time.</remarks>
internal sealed class SharedTables
{
    private readonly L1Table _l1;
    private readonly ITableSharing _sharing;
    private readonly BitArray _left;

    /// <param name="l1">The active L1 table.</param>
    /// <param name="sharing">Raises the counts.</param>
    public SharedTables(L1Table l1, ITableSharing sharing)
    {
        _l1 = l1;
        _sharing = sharing;
        Entries = l1.Copy();
        _left = new BitArray(Entries.Length);
        for (int i = 0; i < Entries.Length; i++)
        {
            _left[i] = !l1.TableAt(i).IsNone;
        }
    }

    /// <summary>The snapshot's L1 entries.</summary>
    public ulong[] Entries { get; }

    /// <summary>Why there will be no snapshot; null as long as there may be one.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Whether the counts of a table are still to go up.</summary>
    public bool Contains(long index) => index < _left.Length && _left[(int)index];

    /// <summary>
    /// Raises the counts of a table, if that is still to be done. When that fails the disk has its tables to itself again.
    /// </summary>
    public async ValueTask ShareAsync(int index)
    {
        if (Failure is not null || !Contains(index))
        {
            return;
        }

        try
        {
            await _sharing.ShareAsync(index);
            _left[index] = false;
        }
        catch (Exception e)
        {
            Failure = e;
            _l1.Pending = null;
        }
    }

    /// <summary>The tables whose counts have gone up.</summary>
    public IEnumerable<HostOffset> Shared()
    {
        for (int i = 0; i < Entries.Length; i++)
        {
            if (Entries[i] != 0 && !_left[i])
            {
                yield return new HostOffset((long)(Entries[i] & L2Entry.OffsetMask));
            }
        }
    }
}

/// <summary>Makes an L2 table one that two L1 tables use.</summary>
internal interface ITableSharing
{
    /// <summary>Raises the counts of a table and of what it refers to, and clears its COPIED flags.</summary>
    /// <param name="index">Its entry in the active L1 table.</param>
    /// <exception cref="Block.BlockException">A count is at its limit: nothing has changed.</exception>
    ValueTask ShareAsync(int index);
}
