namespace Paddock.Nvme.Pcie;

/// <summary>
/// Memory of the host as the device reads and writes it. Every call copies: nothing of the memory is held after it returns, so a mapping
/// may vanish between two calls. Data are copied on threads of the device only (its worker), never on the thread that answers messages.
/// </summary>
internal interface IDeviceMemory
{
    /// <summary>Copies from the host's memory. An aligned unit of 4 bytes is read as a whole.</summary>
    /// <returns>False when the range is not wholly mapped or not readable, or the session has ended.</returns>
    bool TryRead(ulong address, Span<byte> to);

    /// <summary>
    /// Copies to the host's memory. The stores of one call become visible to the host before those of the next call; within a call they
    /// have no order. An aligned unit of 4 bytes is written as a whole.
    /// </summary>
    /// <returns>False when the range is not wholly mapped or not writable, or the session has ended.</returns>
    bool TryWrite(ulong address, ReadOnlySpan<byte> from);

    /// <summary>
    /// Fails accesses that wait for a mapping or for the host, and new ones until <see cref="Resume"/>. Copies that have begun go on; this
    /// call does not wait for them. Called on any thread; calls nest.
    /// </summary>
    void Stop();

    /// <summary>Permits accesses after <see cref="Stop"/>.</summary>
    void Resume();
}
