namespace Paddock.VhostUser.Rings;

/// <summary>A ring holds what no driver may put there. The ring must be stopped; the rest of the connection still works.</summary>
/// <param name="message">What is wrong, and where: the ring's part, an index, the value that stood there.</param>
internal sealed class RingException(string message) : Exception(message);
