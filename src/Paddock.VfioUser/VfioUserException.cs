namespace Paddock.VfioUser;

/// <summary>The client violated the protocol in a way that has no reply; the connection cannot be used further.</summary>
/// <param name="message">What is wrong, with the value and the limit.</param>
internal sealed class VfioUserException(string message) : IOException(message);
