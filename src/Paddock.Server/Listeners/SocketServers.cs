using Paddock.Serving;

namespace Paddock.Server.Listeners;

/// <summary>Servers that have a listening socket each.</summary>
/// <typeparam name="TServer">The server.</typeparam>
/// <typeparam name="TServed">What it serves.</typeparam>
internal sealed class SocketServers<TServer, TServed> : IAsyncDisposable
    where TServer : ISocketServer
{
    private readonly List<(TServer Server, ListeningSocket Listener, TServed Served)> _all = [];

    /// <summary>All of them; they and their sockets are owned.</summary>
    public IReadOnlyList<(TServer Server, ListeningSocket Listener, TServed Served)> All => _all;

    /// <inheritdoc cref="IListener.Addresses"/>
    public IReadOnlyList<string> Addresses => [.. _all.Select(static s => s.Listener.Address)];

    /// <inheritdoc cref="IListener.Connections"/>
    public int Connections => _all.Sum(static s => s.Server.Connections);

    /// <summary>Adds a server.</summary>
    public void Add(TServer server, ListeningSocket listener, TServed served) => _all.Add((server, listener, served));

    /// <inheritdoc cref="IListener.Open"/>
    public void Open()
    {
        foreach (var (server, listener, _) in _all)
        {
            server.Listen(listener.Socket);
        }
    }

    /// <summary>Stops all of them.</summary>
    public Task StopAsync() => Task.WhenAll(_all.Select(static s => s.Server.StopAsync()));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var (server, listener, _) in _all)
        {
            await server.DisposeAsync();
            listener.Remove();
        }
    }
}
