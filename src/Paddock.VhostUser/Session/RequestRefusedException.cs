namespace Paddock.VhostUser.Session;

/// <summary>
/// A valid request was rejected. The session continues if the front end requested an acknowledgement; otherwise it ends.
/// </summary>
/// <param name="message">Reason.</param>
internal sealed class RequestRefusedException(string message) : IOException(message);
