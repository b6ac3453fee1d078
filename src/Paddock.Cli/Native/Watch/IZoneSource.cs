namespace Paddock.Cli.Native.Watch;

/// <summary>Where the data of a watched disk come from.</summary>
internal interface IZoneSource : IAsyncDisposable
{
    /// <summary>Connects, and returns the model with the first data.</summary>
    /// <exception cref="Images.ToolException">There is no such disk, or it has no zones.</exception>
    Task<WatchModel> StartAsync(CancellationToken cancellationToken);

    /// <summary>Keeps the model current until it is cancelled, or the source has ended; says why in the model.</summary>
    Task FollowAsync(WatchModel model, CancellationToken cancellationToken);
}
