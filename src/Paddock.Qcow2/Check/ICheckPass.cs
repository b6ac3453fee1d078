namespace Paddock.Qcow2.Check;

/// <summary>One job of a check, with a place in an ordered list (<see cref="CheckPasses"/>). Passes share a context.</summary>
internal interface ICheckPass
{
    ValueTask RunAsync(CancellationToken cancellationToken);
}
