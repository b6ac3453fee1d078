using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace Paddock.Web;

/// <summary>A file of the page, embedded in the executable.</summary>
internal sealed class Asset
{
    private const string Prefix = "web/", Start = "index.html";

    private readonly byte[] _content;
    private readonly string _type, _tag;

    /// <param name="name">Name of the file.</param>
    public Asset(string name)
    {
        Path = name == Start ? "/" : "/" + name;
        _type = TypeOf(System.IO.Path.GetExtension(name));
        using var stream = typeof(Asset).Assembly.GetManifestResourceStream(Prefix + name)!;
        _content = new byte[stream.Length];
        stream.ReadExactly(_content);
        _tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(_content).AsSpan(0, 8))}\"";
    }

    /// <summary>Where it is served.</summary>
    public string Path { get; }

    /// <summary>The files of the page.</summary>
    public static IEnumerable<Asset> OfPage()
        => typeof(Asset).Assembly.GetManifestResourceNames().Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)
            && !n.EndsWith(".json", StringComparison.Ordinal)).Select(n => new Asset(n[Prefix.Length..]));

    /// <summary>Replies with the file, or that the client has it.</summary>
    public Task ReplyAsync(HttpContext context)
    {
        // another version of the server has other files under the same names
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers.ETag = _tag;
        if (context.Request.Headers.IfNoneMatch == _tag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        context.Response.ContentType = _type;
        context.Response.ContentLength = _content.Length;
        return context.Response.Body.WriteAsync(_content, 0, _content.Length, context.RequestAborted);
    }

    private static string TypeOf(string extension) => extension switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => "image/svg+xml",
        _ => "application/json",
    };
}
