namespace Paddock.Block;

/// <summary>A request failed on demand; the device is whole.</summary>
/// <remarks>Declared beside the seam and not with the fault rules, because protocols answer it and do not know the rules.</remarks>
/// <param name="error">The class.</param>
/// <param name="message">A phrase for people.</param>
internal sealed class InjectedFaultException(BlockError error, string message) : BlockException(error, message)
{
    /// <summary>A protocol's own answer, which only that protocol's server understands; null: the one that the class maps to.</summary>
    public Enum? Answer { get; init; }
}
