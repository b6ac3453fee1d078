namespace Paddock.Server.Live;

/// <summary>Receives the requests of a disk as they end.</summary>
internal interface ITraceSink
{
    /// <summary>Takes a request; returns at once, and allocates nothing.</summary>
    /// <param name="request">The request.</param>
    /// <param name="ticks">Its duration in <see cref="System.Diagnostics.Stopwatch"/> ticks.</param>
    /// <param name="failed">Whether it failed.</param>
    void Add(in LiveRequest request, long ticks, bool failed);
}
