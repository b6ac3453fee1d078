namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the refcount table and loads it for the passes that compare.</summary>
internal sealed class RefcountTablePass(CheckContext context) : ICheckPass
{
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        context.Stored = await StoredRefcounts.ReadAsync(context.Image, cancellationToken);
        context.Count(context.Image.RefcountTableOffset, (long)context.Image.RefcountTableClusters << context.Image.ClusterBits);
    }
}
