using Paddock.VhostUser.Memory;

namespace Paddock.VhostUser.Rings;

internal sealed class PackedVirtqueue : Virtqueue
{
    internal PackedVirtqueue(
        GuestMemory memory, RingFeatures features, int size, RingAddresses addresses, uint baseIndex, InflightRegion? inflight)
        : base(memory, features, size)
        => throw new RingException($"packed rings come later {addresses} {baseIndex} {inflight}");

    public override uint Base => 0;

    private protected override bool HasWork => false;

    public override bool EnableNotifications() => false;

    public override void DisableNotifications()
    {
    }

    private protected override bool Take(DescriptorChain chain) => false;

    private protected override void PutUsed(DescriptorChain chain, uint written)
    {
    }

    private protected override bool WantsNotification() => false;
}
