namespace Paddock.Nbd.Client;

/// <summary>A request had no reply because the connection ended; it may be resent on another.</summary>
internal sealed class ConnectionLostException(string message) : IOException(message);
