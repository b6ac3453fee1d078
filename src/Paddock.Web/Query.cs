using System.Globalization;
using Microsoft.AspNetCore.Http;
using Paddock.Images;
using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>The parameters of a request, each checked against its range.</summary>
/// <param name="query">The parameters.</param>
internal readonly struct Query(IQueryCollection query)
{
    /// <summary>Value of a parameter; null if it is not given.</summary>
    /// <exception cref="ToolException">It is given twice.</exception>
    public string? this[string name]
        => query[name] switch
        {
            { Count: 0 } => null,
            { Count: 1 } one => one[0],
            _ => throw new ToolException($"parameter '{name}' is given twice"),
        };

    /// <summary>Value of a numeric parameter.</summary>
    /// <exception cref="ToolException">Not a number, or out of range.</exception>
    public long Number(string name, long otherwise, long least, long most)
        => this[name] is not { } text ? otherwise
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= least && value <= most
            ? value
            : throw new ToolException($"{name}={text}: expected a number from {least} to {most}");

    /// <summary>Value of a parameter that is true or false; false if it is not given.</summary>
    /// <exception cref="ToolException">Neither true nor false.</exception>
    public bool Flag(string name) => this[name] switch
    {
        null or "false" => false,
        "true" => true,
        var other => throw new ToolException($"{name}={other}: expected true or false"),
    };

    /// <summary>The disk that the request is about: the only one, or that of the parameter <c>disk</c>.</summary>
    /// <exception cref="ToolException">Unknown disk, or several to choose from.</exception>
    public LiveDisk DiskOf(LiveFeed feed)
        => this["disk"] is { } name ? feed.Find(name)
            : feed.Disks is [var only] ? only
            : throw new ToolException(
                $"the server has several disks: specify disk={string.Join(" or disk=", feed.Disks.Select(d => d.Disk.Name))}");
}
