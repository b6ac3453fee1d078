using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace Paddock.Web;

/// <summary>Replies in JSON.</summary>
internal static class Replies
{
    /// <summary>Replies with a value.</summary>
    public static Task JsonAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(value, type);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        return context.Response.Body.WriteAsync(json, 0, json.Length, context.RequestAborted);
    }

    /// <summary>Replies with an error.</summary>
    public static Task FailAsync(HttpContext context, int status, string why)
        => JsonAsync(context, new ApiError { Error = why }, WebJson.Default.ApiError, status);
}
