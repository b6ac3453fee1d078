namespace Paddock.VhostUser.Rings;

/// <summary>A position in a packed ring, with the wrap counter, which flips at each wrap (virtio 1.2, 2.8.1).</summary>
/// <param name="Index">Descriptor index.</param>
/// <param name="Wrap">The wrap counter; true in the first lap.</param>
internal readonly record struct RingPosition(int Index, bool Wrap)
{
    /// <summary>The position a number of descriptors later, at most one lap.</summary>
    public RingPosition Advance(int count, int size)
    {
        int index = Index + count;
        return index < size ? new RingPosition(index, Wrap) : new RingPosition(index - size, !Wrap);
    }
}
