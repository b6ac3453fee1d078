using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace Paddock.Web;

/// <summary>
/// Checks the host and the origin of each request before anything else sees it, and limits what a browser does with replies.
/// </summary>
/// <param name="hosts">Host names that are accepted besides the server's own addresses.</param>
/// <param name="next">Handles requests that pass.</param>
internal sealed class RequestGuard(IReadOnlyList<string> hosts, RequestDelegate next)
{
    // no inline script or style, nothing from elsewhere, in nobody's frame
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Handles a request.</summary>
    public Task InvokeAsync(HttpContext context)
    {
        var (request, headers) = (context.Request, context.Response.Headers);
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
        string? host = request.Headers.Host;
        if (!string.IsNullOrEmpty(host) && !HostNames.IsOurs(host, LocalOf(context), hosts))
        {
            return Replies.FailAsync(
                context, StatusCodes.Status421MisdirectedRequest,
                "this host name is not served: allow it with --web-host NAME (for metrics: --metrics-host NAME)");
        }

        if (!StringValues.IsNullOrEmpty(request.Headers.Origin)
            && (request.Headers.Origin.Count != 1 || !HostNames.IsSameOrigin(request.Headers.Origin[0]!, host ?? "")))
        {
            return Replies.FailAsync(context, StatusCodes.Status403Forbidden, "requests of other sites' pages are rejected");
        }

        return next(context);
    }

    private static System.Net.IPAddress? LocalOf(HttpContext context)
        => context.Features.Get<IHttpConnectionFeature>()?.LocalIpAddress;
}
