namespace Paddock.VhostUser.Session;

/// <summary>
/// A request that is well formed cannot be granted. The session goes on where the front end asked to be told; else it ends.
/// </summary>
/// <param name="message">Why.</param>
internal sealed class RequestRefusedException(string message) : IOException(message);
