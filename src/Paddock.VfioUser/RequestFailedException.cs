using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser;

/// <summary>A request was rejected: its reply carries the error, and the connection remains usable.</summary>
/// <param name="error">Error number of the reply.</param>
/// <param name="message">What is wrong, with the value and the limit.</param>
internal sealed class RequestFailedException(ErrorNumber error, string message) : IOException(message)
{
    /// <summary>Error number of the reply.</summary>
    public ErrorNumber Error => error;
}
