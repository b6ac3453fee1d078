using System.Net;
using System.Net.Sockets;
using System.Text;
using Paddock.Block;
using Paddock.Server.Listeners;
using Paddock.Serving;

namespace Paddock.Server.Metrics;

/// <summary>
/// Gives a page over HTTP at /metrics: one GET a connection (RFC 9112), which is what scrapers do. A socket that systemd hands over can be
/// served so, which the library's own listener cannot.
/// </summary>
internal sealed class MetricsServer : IAsyncDisposable
{
    private const int MaxReaders = 16;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Func<ValueTask<string>> _render;
    private readonly IReadOnlyList<string> _hosts;
    private readonly IReadOnlyList<ListeningSocket> _listeners;
    private readonly Reception<Socket, Reader> _reception;

    /// <param name="listeners">Where it listens; owned.</param>
    /// <param name="render">Makes the page.</param>
    /// <param name="hosts">Names by which clients may address it, beyond localhost and its own addresses.</param>
    public MetricsServer(IReadOnlyList<ListeningSocket> listeners, Func<ValueTask<string>> render, IReadOnlyList<string>? hosts = null)
    {
        _hosts = hosts ?? [];
        _listeners = listeners;
        _render = render;
        _reception = new Reception<Socket,
            Reader>(MaxReaders, WhenFull.Wait, socket => new Reader(socket), reader => _ = ServeAsync(reader))
        {
            // a request comes with its connection, and slots are few
            HandshakePatience = TimeSpan.FromMilliseconds(500),
        };
        foreach (var listener in listeners)
        {
            _reception.Listen(listener.Socket, listener.Socket.AcceptAsync);
        }

        Address = listeners[0].Socket.LocalEndPoint as IPEndPoint;
    }

    /// <summary>Where it listens first; null for a Unix socket.</summary>
    public IPEndPoint? Address { get; }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _reception.DisposeAsync();
        foreach (var listener in _listeners)
        {
            listener.Remove();
        }
    }

    private async Task ServeAsync(Reader reader)
    {
        await Task.Yield();
        try
        {
            using var limit = new CancellationTokenSource(Patience);
            await AnswerAsync(reader.Socket, limit.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException or BlockException)
        {
            // that reader left, was too slow, or the image fails
        }
        finally
        {
            reader.Abort();
            _reception.Leave(reader);
        }
    }

    private async Task AnswerAsync(Socket socket, CancellationToken limit)
    {
        byte[] request = new byte[MetricsRequest.MaxHead];
        int length = 0, got;
        while (length < request.Length && request.AsSpan(0, length).IndexOf("\r\n\r\n"u8) < 0
            && (got = await socket.ReceiveAsync(request.AsMemory(length), limit)) > 0)
        {
            length += got;
        }

        // a page of a million zones takes a while: not on the thread that all sockets wait for
        await Task.Yield();
        bool head = MetricsRequest.IsHead(request);
        string status = MetricsRequest.StatusOf(request.AsSpan(0, length), (socket.LocalEndPoint as IPEndPoint)?.Address, _hosts);
        string body = status == MetricsRequest.Ok ? await _render().AsTask().WaitAsync(limit) : $"{status}: GET /metrics\n";
        byte[] text = Encoding.UTF8.GetBytes(body);
        byte[] answer = Encoding.ASCII.GetBytes(
            $"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {text.Length}\r\nConnection: "
                + "close\r\n\r\n");
        await SendAsync(socket, answer, limit);
        await SendAsync(socket, head ? [] : text, limit);
        socket.Shutdown(SocketShutdown.Send);
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken limit)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[await socket.SendAsync(bytes, limit)..];
        }
    }

    /// <summary>One who reads the page.</summary>
    private sealed class Reader(Socket socket) : IServedClient
    {
        private readonly long _came = Environment.TickCount64;

        public Socket Socket => socket;

        public ClientStanding Standing => new(ClientTrust.Stranger, Environment.TickCount64 - _came);

        public void Finish()
        {
            // it gets its page
        }

        public void Abort() => socket.Dispose();
    }
}
