using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Paddock.Images;
using Paddock.Server.Live;
using Paddock.Server.Web;

namespace Paddock.Web;

/// <summary>The routes of the page and its API.</summary>
/// <param name="content">What is served.</param>
/// <param name="past">The past of each disk.</param>
/// <param name="stopping">Ends streams.</param>
internal sealed class PageRoutes(WebContent content, IReadOnlyList<History> past, CancellationToken stopping)
{
    /// <summary>Methods of a route that only reads.</summary>
    public static readonly string[] Reading = ["GET", "HEAD"];

    private readonly LiveFeed _feed = content.Feed;

    /// <summary>The routes of the API with their methods, as in its OpenAPI document.</summary>
    public static IReadOnlyDictionary<string, string> Api { get; } = new Dictionary<string, string>
    {
        ["/healthz"] = "get",
        [MetricsRoutes.Path] = "get",
        ["/api/disks"] = "get",
        ["/api/stats"] = "get",
        ["/api/zones"] = "get",
        ["/api/zones.bin"] = "get",
        ["/api/events"] = "get",
        ["/api/control"] = "post",
        ["/api/openapi.json"] = "get",
    };

    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        var events = new EventStream(_feed, stopping);
        MetricsRoutes.Map(routes, content.RenderMetrics);
        MapGet(routes, "/healthz", HealthAsync);
        MapGet(routes, "/api/disks", DisksAsync);
        MapGet(routes, "/api/stats", StatsAsync);
        MapGet(routes, "/api/zones", context => ZonesAsync(context, ZoneReplies.JsonAsync));
        MapGet(routes, "/api/zones.bin", context => ZonesAsync(context, PackedAsync));
        MapGet(routes, "/api/events", events.ServeAsync);
        MapGet(routes, "/api/openapi.json", new Asset("openapi.json").ReplyAsync);
        routes.MapPost("/api/control", Guarded(new ControlRoute(content.Control).ReplyAsync));
        foreach (var asset in Asset.OfPage())
        {
            MapGet(routes, asset.Path, asset.ReplyAsync);
        }
    }

    private static void MapGet(IEndpointRouteBuilder routes, string path, RequestDelegate reply)
        => routes.MapMethods(path, Reading, Guarded(reply));

    // what a client asks for wrongly is its own fault
    private static RequestDelegate Guarded(RequestDelegate reply) => async context =>
    {
        try
        {
            await reply(context);
        }
        catch (ToolException e) when (!context.Response.HasStarted)
        {
            await Replies.FailAsync(context, StatusCodes.Status400BadRequest, e.Message);
        }
        catch (BadHttpRequestException e) when (!context.Response.HasStarted)
        {
            await Replies.FailAsync(context, e.StatusCode, e.Message);
        }
        catch (OperationCanceledException)
        {
            // the client left
        }
    };

    private Task HealthAsync(HttpContext context)
        => Replies.JsonAsync(context, new ApiHealth { Status = "ok", Disks = _feed.Disks.Count }, WebJson.Default.ApiHealth);

    private async Task DisksAsync(HttpContext context)
    {
        await _feed.LookAsync(context.RequestAborted);
        var disks = _feed.Disks.Select(d => (d.Disk.Name, State: _feed.StateOf(d)));
        await Replies.JsonAsync(
            context,
            new ApiDisks
            {
                Version = Server.BuildInfo.Version,
                Control = content.Control is not null,
                Disks = [.. disks.Select(d => new ApiDisk
                {
                    Name = d.Name, Image = d.State.Image, Size = d.State.Size, ReadOnly = d.State.ReadOnly, Zoned = d.State.Zoned,
                })],
            },
            WebJson.Default.ApiDisks);
    }

    private async Task StatsAsync(HttpContext context)
    {
        uint stamp = await _feed.LookAsync(context.RequestAborted);
        var disks = _feed.Disks.Select(d => (d.Disk.Name, State: _feed.StateOf(d)));
        await Replies.JsonAsync(
            context,
            new ApiStats
            {
                Stamp = stamp,
                TimeMs = _feed.Time.GetUtcNow().ToUnixTimeMilliseconds(),
                LatencyBoundsUs = LatencyClasses.Bounds,
                Connections = content.Listeners.ToDictionary(l => l.Name, l => l.Connections),
                Disks = [.. disks.Select(d => new ApiDiskStats
                {
                    Name = d.Name, Requests = d.State.Requests, ClientWrittenBytes = d.State.ClientWrittenBytes,
                    FileWrittenBytes = d.State.FileWrittenBytes, WriteAmplification = d.State.WriteAmplification,
                    FileBytes = d.State.FileBytes,
                })],
            },
            WebJson.Default.ApiStats);
    }

    private Task PackedAsync(HttpContext context, LiveDisk disk, uint stamp)
        => ZoneReplies.PackedAsync(
            context, disk, stamp, new Query(context.Request.Query).Flag("past") ? past.First(h => h.Disk == disk) : null);

    private async Task ZonesAsync(HttpContext context, Func<HttpContext, LiveDisk, uint, Task> reply)
    {
        var disk = new Query(context.Request.Query).DiskOf(_feed);
        uint stamp = await _feed.LookAsync(context.RequestAborted);
        await reply(context, disk, stamp);
    }
}
