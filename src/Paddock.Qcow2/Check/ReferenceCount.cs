namespace Paddock.Qcow2.Check;

/// <summary>Counts all references of the image from nothing, by passes of its own.</summary>
internal sealed class ReferenceCount(CheckContext context, TableWalk walk, IReadOnlyList<ICheckPass> passes) : ICheckPass
{
    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        context.References.Clear();
        context.Tables.ResetLimit();
        walk.Clear();
        foreach (var pass in passes)
        {
            await pass.RunAsync(cancellationToken);
        }
    }
}
