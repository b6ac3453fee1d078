using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Paddock.Server.Web;

namespace Paddock.Web;

/// <summary>Commands on zones, for clients with the token.</summary>
/// <param name="control">Runs the commands; null: none is accepted.</param>
internal sealed class ControlRoute(WebControl? control)
{
    private const string Scheme = "Bearer ";

    /// <summary>Runs the command in the body of a request.</summary>
    public async Task ReplyAsync(HttpContext context)
    {
        if (control is null)
        {
            await Replies.FailAsync(context, StatusCodes.Status403Forbidden, "the server is read-only: it runs without --web-control");
            return;
        }

        string given = context.Request.Headers.Authorization.ToString();
        if (!given.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || !control.Accepts(given[Scheme.Length..].Trim()))
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            await Replies.FailAsync(context, StatusCodes.Status401Unauthorized, "the token of --web-token-file is required");
            return;
        }

        if (await BodyOfAsync(context) is not { } command)
        {
            await Replies.FailAsync(
                context, StatusCodes.Status400BadRequest,
                $"expected a JSON object with disk, zone and action, one of {string.Join(", ", WebControl.Actions)}");
            return;
        }

        string peer = context.Connection.RemoteIpAddress?.ToString() ?? "unix";
        string done = await control.RunAsync(command.Disk, command.Action, command.Zone, peer);
        await Replies.JsonAsync(context, new ApiDone { Done = done }, WebJson.Default.ApiDone);
    }

    private static async Task<ApiCommand?> BodyOfAsync(HttpContext context)
    {
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, WebJson.Default.ApiCommand, context.RequestAborted);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
