using Paddock.Server.Live;
using Paddock.Server.Web;

namespace Paddock.Web;

/// <summary>The live page with its API, and the metrics, over HTTP.</summary>
public sealed class WebPart : IWebPart
{
    /// <inheritdoc/>
    public async Task<IAsyncDisposable> StartAsync(WebPlan plan)
    {
        var (content, site) = (plan.Content, new Site());
        try
        {
            if (content.Pages.Count > 0)
            {
                await site.AddAsync(content.Pages, content.PageHosts, app => new PageRoutes(content, app.Stopping).Map(app.Routes));
                site.Watch(content);
            }

            if (content.Metrics.Count > 0)
            {
                await site.AddAsync(content.Metrics, content.MetricsHosts, app => MetricsRoutes.Map(app.Routes, content.RenderMetrics));
            }

            return site;
        }
        catch
        {
            await site.DisposeAsync();
            throw;
        }
    }

    /// <summary>The HTTP servers of a content.</summary>
    private sealed class Site : IAsyncDisposable
    {
        private readonly List<HttpServer> _servers = [];
        private LiveWatcher? _watcher;

        public async Task AddAsync(
            IReadOnlyList<Server.Listeners.ListeningSocket> sockets, IReadOnlyList<string> hosts, Action<HttpServer> map)
        {
            var server = new HttpServer(sockets, hosts);
            _servers.Add(server);
            map(server);
            await server.StartAsync();
        }

        // counts of zones and requests begin with the server, not with the first page
        public void Watch(WebContent content) => _watcher = content.Feed.Watch(null);

        public async ValueTask DisposeAsync()
        {
            foreach (var server in _servers)
            {
                await server.DisposeAsync();
            }

            _watcher?.Dispose();
        }
    }
}
