using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Paddock.Block;

namespace Paddock.Web;

/// <summary>The metrics, in Prometheus's text format.</summary>
internal static class MetricsRoutes
{
    /// <summary>Path of the metrics.</summary>
    public const string Path = "/metrics";

    // a page of a million zones takes a while, and reports of the image may fail
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Adds the route.</summary>
    public static void Map(IEndpointRouteBuilder routes, Func<ValueTask<string>> render)
        => routes.MapMethods(Path, PageRoutes.Reading, context => ReplyAsync(context, render));

    private static async Task ReplyAsync(HttpContext context, Func<ValueTask<string>> render)
    {
        try
        {
            byte[] page = Encoding.UTF8.GetBytes(await render().AsTask().WaitAsync(Patience, context.RequestAborted));
            context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
            context.Response.ContentLength = page.Length;
            await context.Response.Body.WriteAsync(page, context.RequestAborted);
        }
        catch (Exception e) when (e is BlockException or TimeoutException)
        {
            await Replies.FailAsync(context, StatusCodes.Status503ServiceUnavailable, "the disk does not report its zones: " + e.Message);
        }
    }
}
