using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>Receives notice of requests that complete after the call that started them has returned.</summary>
internal interface ILateCompletion
{
    /// <summary>
    /// Called after a request was returned to the driver: check <see cref="Virtqueue.ShouldNotify"/> and notify it. Called from any thread,
    /// before the ring counts as drained; must not throw.
    /// </summary>
    void Completed(Virtqueue ring);
}
