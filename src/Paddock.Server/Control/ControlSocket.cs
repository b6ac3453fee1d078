using System.Net.Sockets;
using System.Text;
using Paddock.Block;
using Paddock.Block.Concurrency;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Listeners;
using Paddock.Server.Live;

namespace Paddock.Server.Control;

/// <summary>
/// The server's Unix socket for fault injection, resizing, snapshots and watching. A client sends one line and receives one line that
/// begins with <c>ok</c> or <c>error</c>; frames of the live feed follow after <c>watch</c>. Access is controlled by the permissions of the
/// socket file, which only its owner can use.
/// </summary>
public sealed class ControlSocket : IDisposable
{
    private const int MaxClients = 16;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10), Pause = TimeSpan.FromMilliseconds(100);

    private readonly ListeningSocket _socket;
    private readonly Socket _listener;
    private readonly SemaphoreSlim _slots = new(MaxClients);
    private readonly RequestGate _lines = new();
    private readonly Func<string, Task<string>> _execute;
    private readonly LiveStream _live;
    private readonly ServeLog _log;
    private readonly CancellationTokenSource _stopping = new();
    private volatile bool _closed;

    /// <param name="socket">Listening socket; owned.</param>
    /// <param name="execute">Executes a line.</param>
    /// <param name="live">Sends the live feed.</param>
    /// <param name="log">Receives each line and its answer.</param>
    internal ControlSocket(ListeningSocket socket, Func<string, Task<string>> execute, LiveStream live, ServeLog log)
    {
        _socket = socket;
        _execute = execute;
        _live = live;
        _log = log;
        _listener = socket.Socket;
        _ = Task.Run(RunAsync);
    }

    public void Dispose()
    {
        _closed = true;
        _listener.Dispose();
        _socket.Remove();
    }

    /// <summary>Stops accepting clients and lines.</summary>
    /// <param name="limit">Time to wait for running commands; later they continue in the background.</param>
    public async Task CloseAsync(TimeSpan limit)
    {
        Dispose();
        await _stopping.CancelAsync();

        // the gate stays closed
        await Task.WhenAny(_lines.CloseAsync().AsTask(), Task.Delay(limit));
    }

    /// <summary>Sends one line to a server and returns its answer, which begins with <c>ok</c>.</summary>
    /// <exception cref="ToolException">No server is listening, or it rejected the command; the message gives the reason.</exception>
    public static async Task<string> AskAsync(string path, string line, CancellationToken cancellationToken)
    {
        await using var stream = await ConnectAsync(path, line, cancellationToken);
        try
        {
            using var reader = new StreamReader(stream, Encoding.UTF8);
            string answer = await reader.ReadLineAsync(cancellationToken) ?? "error: the server closed the connection";
            return answer.StartsWith("ok", StringComparison.Ordinal)
                ? answer
                : throw new ToolException(answer.Replace("error: ", "", StringComparison.Ordinal));
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            throw NoServer(e, path);
        }
    }

    /// <summary>Sends one line and returns the answer as JSON.</summary>
    /// <exception cref="ToolException">As for the answer in words.</exception>
    public static async Task<string> AskJsonAsync(string path, string line, CancellationToken cancellationToken)
    {
        const string ok = "ok: ";
        string answer = await AskAsync(path, ControlAnswer.InJson(line), cancellationToken);
        return answer.StartsWith(ok + "{", StringComparison.Ordinal) ? answer[ok.Length..]
            : JsonText.Readable(new JsonFields { { "answer", answer } });
    }

    /// <summary>Connects to a server and sends a line.</summary>
    /// <returns>The connection, from which the answer is read.</returns>
    /// <exception cref="ToolException">No server is listening.</exception>
    internal static async Task<NetworkStream> ConnectAsync(string path, string line, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(UnixAddress.Of(path), cancellationToken);
            var stream = new NetworkStream(socket, ownsSocket: true);
            await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), cancellationToken);
            return stream;
        }
        catch (Exception e)
        {
            socket.Dispose();
            if (e is SocketException or IOException or ArgumentException)
            {
                throw NoServer(e, path);
            }

            throw;
        }
    }

    private static ToolException NoServer(Exception why, string path)
        => new($"no server is listening on '{path}': {FileErrorText.OfSocket(why, path)}");

    private async Task RunAsync()
    {
        while (true)
        {
            await _slots.WaitAsync();
            try
            {
                _ = ServeAsync(await _listener.AcceptAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                _slots.Release();
                if (_closed)
                {
                    return;
                }

                // probably out of descriptors: an immediate retry would spin
                await Task.Delay(Pause);
            }
        }
    }

    // closing the socket waits for the answer too
    private async Task AnswerAsync(NetworkStream stream, string line, bool tooLong)
    {
        int ticket = _lines.TryEnter();
        try
        {
            string answer = tooLong ? $"error: the command line is longer than {ControlLine.MaxLength} characters"
                : ticket < 0 ? "error: the server is stopping" : await _execute(line);
            _log.Write("control", ("line", line), ("answer", answer));
            using var patience = new CancellationTokenSource(Patience);
            await stream.WriteAsync(Encoding.UTF8.GetBytes(answer + "\n"), patience.Token);
        }
        finally
        {
            if (ticket >= 0)
            {
                _lines.Leave(ticket);
            }
        }
    }

    // a watcher stays for as long as it likes: closing the socket does not wait for it
    private async Task WatchAsync(NetworkStream stream, string line)
    {
        if (await _live.ServeAsync(stream, line, _stopping.Token) is { } why)
        {
            using var patience = new CancellationTokenSource(Patience);
            await stream.WriteAsync(Encoding.UTF8.GetBytes($"error: {why.ReplaceLineEndings(" ")}\n"), patience.Token);
        }
    }

    // one client, one line; its failure does not affect other clients
    private async Task ServeAsync(Socket client)
    {
        await Task.Yield();
        try
        {
            await using var stream = new NetworkStream(client, ownsSocket: true);
            byte[] line = new byte[ControlLine.MaxLength + 1];
            int length = 0, got;
            using (var limit = new CancellationTokenSource(Patience))
            {
                while (length < line.Length && line.AsSpan(0, length).IndexOf((byte)'\n') < 0
                    && (got = await stream.ReadAsync(line.AsMemory(length), limit.Token)) > 0)
                {
                    length += got;
                }
            }

            // a power cut reads and writes images, which must not block the thread that polls the sockets
            await Task.Yield();
            int end = line.AsSpan(0, length).IndexOf((byte)'\n');
            if (end < 0 && length < line.Length)
            {
                // the client left in the middle of a line: a truncated command must not run
                return;
            }

            string text = Encoding.UTF8.GetString(line, 0, end < 0 ? length : end).Trim();
            if (end >= 0 && WatchLine.Owns(text))
            {
                await WatchAsync(stream, text);
            }
            else
            {
                await AnswerAsync(stream, text, end < 0);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // the client disconnected
        }
        finally
        {
            _slots.Release();
        }
    }
}
