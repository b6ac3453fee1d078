using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Paddock.Server.Listeners;

namespace Paddock.Web;

/// <summary>
/// Kestrel on sockets that are listening already. The empty builder is used: the slim one would read <c>appsettings.json</c> of the
/// working directory and <c>ASPNETCORE_</c> variables, and log to standard output.
/// </summary>
internal sealed class HttpServer : IAsyncDisposable
{
    private const int MaxConnections = 64, MaxHead = 8192, MaxBody = 4096;

    private static readonly TimeSpan HeadPatience = TimeSpan.FromSeconds(10), Silence = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _stopping = new();
    private readonly WebApplication _app;

    /// <param name="sockets">Sockets to serve; owned by the caller.</param>
    /// <param name="hosts">Host names that are accepted besides the server's own addresses.</param>
    public HttpServer(IReadOnlyList<ListeningSocket> sockets, IReadOnlyList<string> hosts)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().UseSockets(options => options.CreateBoundListenSocket = place => TakeSocket(sockets, place));
        builder.WebHost.ConfigureKestrel(options => Configure(options, sockets));
        _app = builder.Build();
        _app.Use(next => new RequestGuard(hosts, next).InvokeAsync);
        _app.UseRouting();
    }

    /// <summary>Receives the routes, before the server is started.</summary>
    public IEndpointRouteBuilder Routes => _app;

    /// <summary>Cancelled when the server stops: streams end then.</summary>
    public CancellationToken Stopping => _stopping.Token;

    /// <summary>Starts to accept connections.</summary>
    public Task StartAsync() => _app.StartAsync();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _app.DisposeAsync();
        _stopping.Dispose();
    }

    private static void Configure(KestrelServerOptions options, IReadOnlyList<ListeningSocket> sockets)
    {
        options.AddServerHeader = false;
        options.Limits.MaxConcurrentConnections = MaxConnections;
        options.Limits.MaxRequestHeadersTotalSize = MaxHead;
        options.Limits.MaxRequestLineSize = MaxHead / 2;
        options.Limits.MaxRequestBodySize = MaxBody;
        options.Limits.RequestHeadersTimeout = HeadPatience;
        options.Limits.KeepAliveTimeout = Silence;
        foreach (var place in sockets.Select(s => s.Socket.LocalEndPoint))
        {
            switch (place)
            {
                case IPEndPoint address:
                    options.Listen(address, static listen => listen.Protocols = HttpProtocols.Http1);
                    break;
                case UnixDomainSocketEndPoint path:
                    options.ListenUnixSocket(path.ToString(), static listen => listen.Protocols = HttpProtocols.Http1);
                    break;
            }
        }
    }

    private static Socket TakeSocket(IReadOnlyList<ListeningSocket> sockets, EndPoint place)
        => sockets.First(s => Equals(s.Socket.LocalEndPoint, place) || s.Socket.LocalEndPoint!.ToString() == place.ToString()).Socket;

    /// <summary>The server's own lifetime rules: signals are handled by the executable.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
