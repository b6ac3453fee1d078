using Paddock.Server.Listeners;
using Paddock.Server.Live;

namespace Paddock.Server.Web;

/// <summary>What the web part serves, and where, inside the product.</summary>
internal sealed record WebContent
{
    /// <summary>Sockets of the page and the API; owned by the server.</summary>
    public required IReadOnlyList<ListeningSocket> Pages { get; init; }

    /// <summary>Sockets that serve metrics alone; owned by the server.</summary>
    public required IReadOnlyList<ListeningSocket> Metrics { get; init; }

    /// <summary>Host names accepted by <see cref="Pages"/>, besides the server's own addresses.</summary>
    public required IReadOnlyList<string> PageHosts { get; init; }

    /// <summary>Host names accepted by <see cref="Metrics"/>, besides the server's own addresses.</summary>
    public required IReadOnlyList<string> MetricsHosts { get; init; }

    /// <summary>The live feed.</summary>
    public required LiveFeed Feed { get; init; }

    /// <summary>Current connections of each listener.</summary>
    public required IReadOnlyList<IListener> Listeners { get; init; }

    /// <summary>Makes the metrics page.</summary>
    public required Func<ValueTask<string>> RenderMetrics { get; init; }

    /// <summary>Changes zones on request; null: the page is read-only.</summary>
    public required WebControl? Control { get; init; }
}
