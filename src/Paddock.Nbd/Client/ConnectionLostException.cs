namespace Paddock.Nbd.Client;

/// <summary>A request was not answered because the connection ended: it may be asked again on another.</summary>
internal sealed class ConnectionLostException(string message) : IOException(message);
