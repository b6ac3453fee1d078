namespace Paddock.Nbd.Transport;

/// <summary>
/// Bytes to and from a peer. One thread receives and one sends at a time; both calls block, which on a thread of the connection's own
/// is the shortest way from a peer's request to its answer.
/// </summary>
internal interface IByteChannel : IDisposable
{
    /// <summary>Waits for bytes.</summary>
    /// <returns>How many came; 0 at the end, whatever ended it.</returns>
    int Receive(Span<byte> into);

    /// <summary>Sends all.</summary>
    /// <returns>False when the peer is gone.</returns>
    bool Send(ReadOnlySpan<byte> data);

    /// <summary>
    /// Whether the peer has hung up, as far as that can be told without receiving what it sent before. May be asked from any thread.
    /// </summary>
    bool IsPeerGone { get; }

    /// <summary>Wakes whoever waits in <see cref="Receive"/>; replies can still be sent. May be called from any thread.</summary>
    void StopReceiving();

    /// <summary>Ends both directions at once and wakes both sides. May be called from any thread.</summary>
    void Abort();
}
