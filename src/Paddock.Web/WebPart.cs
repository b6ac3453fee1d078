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
                var past = site.Record(content.Feed);
                await site.AddAsync(content.Pages, content.PageHosts, app => new PageRoutes(content, past, app.Stopping).Map(app.Routes));
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
        private Recorder? _recorder;

        public async Task AddAsync(
            IReadOnlyList<Server.Listeners.ListeningSocket> sockets, IReadOnlyList<string> hosts, Action<HttpServer> map)
        {
            var server = new HttpServer(sockets, hosts);
            _servers.Add(server);
            map(server);
            await server.StartAsync();
        }

        public IReadOnlyList<History> Record(LiveFeed feed)
        {
            _recorder = new Recorder(feed);
            return _recorder.Histories;
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var server in _servers)
            {
                await server.DisposeAsync();
            }

            await (_recorder?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
    }
}
