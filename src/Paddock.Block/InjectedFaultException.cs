namespace Paddock.Block;

/// <summary>A request failed by fault injection; the device is intact.</summary>
/// <remarks>Declared beside the seam and not with the fault rules, because protocols handle it without depending on the rules.</remarks>
/// <param name="error">The class.</param>
/// <param name="message">A phrase for people.</param>
internal sealed class InjectedFaultException(BlockError error, string message) : BlockException(error, message)
{
    /// <summary>Status specific to a protocol; null for the status that the class maps to.</summary>
    public Enum? Answer { get; init; }
}
