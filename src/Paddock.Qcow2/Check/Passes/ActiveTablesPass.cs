namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the active L1 table, its L2 tables and their clusters; repairs preallocated entries that cannot be right.</summary>
internal sealed class ActiveTablesPass(CheckContext context, TableWalk walk) : ICheckPass
{
    public ValueTask RunAsync(CancellationToken cancellationToken)
        => walk.CountL1Async(context.Image.L1Offset, context.Image.L1Entries, active: true, cancellationToken);
}
