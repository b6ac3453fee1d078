using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Checks that the COPIED flag of each entry of the active tables is set exactly if the refcount is 1.</summary>
internal sealed class CopiedFlagsPass(CheckContext context) : ICheckPass
{
    private readonly CheckedImage _image = context.Image;
    private readonly CheckedTables _tables = context.Tables;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        // refcounts are right by now as far as they can be; a repair of leaks alone must be sure of it
        bool repairs = context.FixesErrors
            || (context.Repair == Qcow2Repair.Leaks && context.Report is { CheckErrors: 0, Corruptions: 0, Leaks: 0 });
        var table = await _tables.ReadL1Async(_image.L1Offset, _image.L1Entries, cancellationToken);
        var done = new HashSet<HostOffset>();
        for (int i = 0; i < _image.L1Entries; i++)
        {
            ulong entry = CheckedTables.Entry(table, i);
            var l2 = EntryBits.OffsetOf(entry);
            if (l2.Value == 0 || await context.Stored.GetAsync(_image.ClusterOf(l2), cancellationToken) is not { } count)
            {
                continue;
            }

            if ((count == 1) != ((entry & EntryBits.Copied) != 0))
            {
                context.ReportRepair($"OFLAG_COPIED L2 cluster: l1_index={i} l1_entry={entry:x} refcount={count}", repairs);
                if (repairs)
                {
                    var bytes = new byte[8];
                    BinaryPrimitives.WriteUInt64BigEndian(bytes, entry ^ EntryBits.Copied);
                    await context.Storage.WriteAsync(_image.L1Offset.Value + (i * 8L), bytes, cancellationToken);
                }
            }

            // the lines of a table that L1 names twice are printed once: it is reported as over-referenced already
            if (done.Add(l2) && await _tables.LoadL2Async(l2, cancellationToken))
            {
                // what does not begin at a cluster is no table, and other tables may lie in it
                await CheckTableAsync(l2, repairs && _image.IsAligned(l2), cancellationToken);
            }
        }

        await context.Storage.FlushAsync(cancellationToken);
    }

    private async ValueTask CheckTableAsync(HostOffset l2, bool repairs, CancellationToken cancellationToken)
    {
        bool dirty = false;
        for (int i = 0; i < _image.L2Entries; i++)
        {
            ulong entry = _tables.L2Entry(i);
            var offset = EntryBits.OffsetOf(entry);
            if ((entry & EntryBits.Compressed) != 0 || offset.Value == 0)
            {
                continue;
            }

            ulong? count = 1;
            if (!_image.HasDataFile)
            {
                count = context.Stored.TryGet(_image.ClusterOf(offset), out ulong loaded)
                    ? loaded
                    : await context.Stored.GetAsync(_image.ClusterOf(offset), cancellationToken);
            }

            if (count is null || (count == 1) == ((entry & EntryBits.Copied) != 0))
            {
                continue;
            }

            context.ReportRepair($"OFLAG_COPIED data cluster: l2_entry={entry:x} refcount={count}", repairs);
            if (repairs)
            {
                BinaryPrimitives.WriteUInt64BigEndian(_tables.L2.Span[(i * _image.L2EntrySize)..], entry ^ EntryBits.Copied);
                dirty = true;
            }
        }

        if (dirty)
        {
            await context.Storage.WriteAsync(l2.Value, _tables.L2, cancellationToken);
        }
    }
}
