namespace Paddock.Sim;

/// <summary>The engine broke a promise.</summary>
internal sealed class SimFailure(string message) : Exception(message)
{
    /// <summary>Throws unless something holds.</summary>
    public static void Unless(bool holds, string message)
    {
        if (!holds)
        {
            throw new SimFailure(message);
        }
    }
}
