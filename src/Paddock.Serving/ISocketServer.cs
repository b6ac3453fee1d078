using System.Net.Sockets;

namespace Paddock.Serving;

/// <summary>A server that accepts clients on listening sockets.</summary>
internal interface ISocketServer : IAsyncDisposable
{
    /// <summary>Current number of connections.</summary>
    int Connections { get; }

    /// <summary>Accepts clients on a socket until <see cref="StopAsync"/>.</summary>
    void Listen(Socket listener);

    /// <summary>Stops accepting clients and disconnects them.</summary>
    Task StopAsync();
}
