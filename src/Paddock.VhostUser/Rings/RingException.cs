namespace Paddock.VhostUser.Rings;

/// <summary>The driver corrupted a ring. The ring must be stopped; the rest of the connection still works.</summary>
/// <param name="message">Description of the error: the ring's part, the index, the value.</param>
internal sealed class RingException(string message) : Exception(message);
