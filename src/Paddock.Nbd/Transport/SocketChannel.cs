using System.Net.Sockets;

namespace Paddock.Nbd.Transport;

/// <summary>A channel on a plain socket.</summary>
internal sealed class SocketChannel : IByteChannel
{
    private readonly Socket _socket;

    /// <param name="socket">A connected socket without previous asynchronous calls; owned.</param>
    public SocketChannel(Socket socket)
    {
        _socket = socket;
        if (socket.ProtocolType == ProtocolType.Tcp)
        {
            socket.NoDelay = true;
        }
    }

    /// <summary>The socket, for a channel that wraps this one.</summary>
    public Socket Socket => _socket;

    /// <inheritdoc/>
    public bool IsPeerGone
    {
        get
        {
            try
            {
                if (OperatingSystem.IsLinux() && _socket.ProtocolType == ProtocolType.Tcp)
                {
                    // the first byte of struct tcp_info is the state: all but ESTABLISHED mean disconnected
                    const int tcpLevel = 6, tcpInfo = 11, established = 1;
                    Span<byte> state = stackalloc byte[1];
                    _ = _socket.GetRawSocketOption(tcpLevel, tcpInfo, state);
                    return state[0] != established;
                }

                // fails if the peer has closed the socket
                _ = _socket.Send(ReadOnlySpan<byte>.Empty, SocketFlags.None);
                return _socket.Poll(0, SelectMode.SelectRead) && _socket.Available == 0;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return true;
            }
        }
    }

    /// <inheritdoc/>
    public int Receive(Span<byte> into)
    {
        try
        {
            return _socket.Receive(into, SocketFlags.None);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    /// <inheritdoc/>
    public bool Send(ReadOnlySpan<byte> data)
    {
        try
        {
            while (data.Length > 0)
            {
                data = data[_socket.Send(data, SocketFlags.None)..];
            }

            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void StopReceiving() => Shutdown(SocketShutdown.Receive);

    /// <summary>Ends the stream to the peer; what it sends can still be received.</summary>
    public void Finish() => Shutdown(SocketShutdown.Send);

    /// <inheritdoc/>
    public void Abort() => Shutdown(SocketShutdown.Both);

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            _socket.Shutdown(how);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // already shut down
        }
    }
}
