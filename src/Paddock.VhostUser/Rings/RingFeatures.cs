namespace Paddock.VhostUser.Rings;

/// <summary>Negotiated feature bits that affect rings (virtio 1.2, 6).</summary>
[Flags]
internal enum RingFeatures
{
    /// <summary>A split ring, no indirect tables, notifications switched by flags.</summary>
    None = 0,

    /// <summary>VIRTIO_RING_F_INDIRECT_DESC (28): a descriptor may name a table of descriptors.</summary>
    Indirect = 1,

    /// <summary>VIRTIO_RING_F_EVENT_IDX (29): each side sets the index at which to notify it.</summary>
    EventIndex = 2,

    /// <summary>VIRTIO_F_RING_PACKED (34): the packed layout.</summary>
    Packed = 4,
}

/// <summary>The feature bits of rings.</summary>
internal static class RingFeatureBits
{
    /// <summary>VIRTIO_RING_F_INDIRECT_DESC.</summary>
    public const int Indirect = 28;

    /// <summary>VIRTIO_RING_F_EVENT_IDX.</summary>
    public const int EventIndex = 29;

    /// <summary>VIRTIO_F_VERSION_1: rings are little-endian. A device must reject a driver that does not accept it.</summary>
    public const int Version1 = 32;

    /// <summary>VIRTIO_F_RING_PACKED.</summary>
    public const int Packed = 34;

    /// <summary>Supported ring features.</summary>
    public const ulong Offered = (1UL << Indirect) | (1UL << EventIndex) | (1UL << Version1) | (1UL << Packed);

    /// <summary>Extracts the ring features from negotiated features.</summary>
    public static RingFeatures Of(ulong features)
        => (Has(features, Indirect) ? RingFeatures.Indirect : 0)
            | (Has(features, EventIndex) ? RingFeatures.EventIndex : 0)
            | (Has(features, Packed) ? RingFeatures.Packed : 0);

    private static bool Has(ulong features, int bit) => (features >> bit & 1) != 0;
}
