namespace Paddock.Sim;

/// <summary>Violation of a guarantee by the engine.</summary>
internal sealed class SimFailure(string message) : Exception(message)
{
    /// <summary>Throws unless a condition holds.</summary>
    public static void Unless(bool holds, string message)
    {
        if (!holds)
        {
            throw new SimFailure(message);
        }
    }
}
