namespace Paddock.Server.Web;

/// <summary>What the web part serves, and where.</summary>
public sealed class WebPlan
{
    internal WebPlan(WebContent content) => Content = content;

    internal WebContent Content { get; }
}
