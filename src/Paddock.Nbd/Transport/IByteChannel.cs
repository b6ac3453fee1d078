namespace Paddock.Nbd.Transport;

/// <summary>
/// A byte stream to and from a peer. One thread receives and one sends at a time; both calls block, which has the lowest latency on a
/// thread of the connection's own.
/// </summary>
internal interface IByteChannel : IDisposable
{
    /// <summary>Waits for bytes.</summary>
    /// <returns>Number of received bytes; 0 at the end of the stream or after a failure.</returns>
    int Receive(Span<byte> into);

    /// <summary>Sends all bytes.</summary>
    /// <returns>False if the peer has disconnected.</returns>
    bool Send(ReadOnlySpan<byte> data);

    /// <summary>Whether the peer is known to have disconnected, without receiving pending data. May be called from any thread.</summary>
    bool IsPeerGone { get; }

    /// <summary>Wakes the thread in <see cref="Receive"/>; replies can still be sent. May be called from any thread.</summary>
    void StopReceiving();

    /// <summary>Closes both directions immediately and wakes both threads. May be called from any thread.</summary>
    void Abort();
}
