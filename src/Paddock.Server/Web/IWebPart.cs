namespace Paddock.Server.Web;

/// <summary>
/// The part of a server that speaks HTTP. Paddock.Web has it; the executable hands it to the server, which does not depend on it: a build
/// without the web part serves disks all the same.
/// </summary>
public interface IWebPart
{
    /// <summary>Serves the page, the API and the metrics, until the result is disposed.</summary>
    /// <param name="plan">What to serve, and where.</param>
    Task<IAsyncDisposable> StartAsync(WebPlan plan);
}
