using Paddock.Block;
using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Blk;

/// <summary>A disk as a virtio block device (virtio 1.3, 5.2), for any number of front ends.</summary>
internal sealed class VirtioBlkDevice
{
    /// <param name="device">The disk; bounds and alignment are checked there (<see cref="CheckedBlockDevice"/>).</param>
    /// <param name="options">What it says of itself.</param>
    public VirtioBlkDevice(IBlockDevice device, VirtioBlkOptions options)
    {
        Device = device;
        Options = options;
    }

    /// <summary>The disk.</summary>
    public IBlockDevice Device { get; }

    /// <summary>What it says of itself.</summary>
    public VirtioBlkOptions Options { get; }

    /// <summary>The feature bits to offer: those of the device and of its rings. VHOST_USER_F_PROTOCOL_FEATURES (30) is the session's.</summary>
    public ulong Features { get; } = RingFeatureBits.Offered;

    /// <summary>Copies configuration space from byte <paramref name="offset"/> on, as it is now; past its 96 bytes there are zeroes.</summary>
    public void ReadConfig(int offset, Span<byte> to)
    {
        to.Clear();
        to[^1] = (byte)(offset + Options.Queues);
    }
}
