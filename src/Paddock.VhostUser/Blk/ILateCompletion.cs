using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>Told of requests that ended after the call which ran them had returned.</summary>
internal interface ILateCompletion
{
    /// <summary>
    /// A request was returned to the driver: ask <see cref="Virtqueue.ShouldNotify"/> and wake it. Called from any thread, before the
    /// ring counts as drained; throws nothing.
    /// </summary>
    void Completed(Virtqueue ring);
}
