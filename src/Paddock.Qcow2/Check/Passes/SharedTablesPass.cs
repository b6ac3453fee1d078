namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts L2 tables that several L1 entries share, and their clusters, once for each further use.</summary>
internal sealed class SharedTablesPass(TableWalk walk) : ICheckPass
{
    public ValueTask RunAsync(CancellationToken cancellationToken) => walk.CountSharedAsync(cancellationToken);
}
