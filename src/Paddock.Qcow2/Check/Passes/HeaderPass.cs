using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the cluster of the header and its extensions.</summary>
internal sealed class HeaderPass(CheckContext context) : ICheckPass
{
    public ValueTask RunAsync(CancellationToken cancellationToken)
    {
        context.Count(new HostOffset(0), context.Image.ClusterSize);
        return ValueTask.CompletedTask;
    }
}
