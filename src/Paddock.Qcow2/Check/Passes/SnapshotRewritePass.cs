using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Writes a new snapshot table where entries need it: complete, and without what is beyond the limits. The engine's own tables are
/// used for that, so the counts must have been repaired.
/// </summary>
internal sealed class SnapshotRewritePass(CheckContext context) : ICheckPass
{
    /// <summary>Entries to be repaired by a new table.</summary>
    public long Entries { get; set; }

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (Entries == 0)
        {
            return;
        }

        try
        {
            await RewriteAsync(cancellationToken);
            context.Report.CorruptionsFixed += Entries;
        }
        catch (BlockException e)
        {
            context.Print($"ERROR failed to update snapshot table: {e.Message}");
            context.Report.CheckErrors++;
            context.Report.Corruptions += Entries;
        }
    }

    private async ValueTask RewriteAsync(CancellationToken cancellationToken)
    {
        var storage = context.Storage;
        var loaded = await HeaderReader.ReadAsync(storage, cancellationToken);
        var parts = new ImageParts(storage, new Qcow2OpenOptions { ForCheck = true, LazyRefcounts = false }, loaded, [], [], null);
        await parts.Counts.LoadTableAsync(
            new((long)loaded.Fields.RefcountTableOffset), loaded.Fields.RefcountTableClusters, cancellationToken);
        await parts.Locks.WithMetadataAsync(async () =>
        {
            await parts.Directory.PutAsync([.. context.Image.Snapshots.Select(Entry)], context.Image.SnapshotTableBytes);

            // frees the previous table, then writes that
            await parts.Order.RunAsync();
            await parts.Counts.WriteAsync();
            await storage.FlushAsync(cancellationToken);
        });
        context.RefreshLength();
    }

    private static SnapshotEntry Entry(CheckedSnapshot snapshot) => new()
    {
        Header = SnapshotHeader.Parse(snapshot.Fixed), Id = snapshot.Id, Name = snapshot.Name, Extra = snapshot.Extra,
    };
}
