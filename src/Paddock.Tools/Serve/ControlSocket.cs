using System.Net.Sockets;
using System.Text;
using Paddock.Block.Concurrency;
using Paddock.Block;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve;

/// <summary>
/// The server's Unix socket for faults on demand and changes of size: a line in, a line back that begins with <c>ok</c> or <c>error</c>. Who may write to the
/// socket's file may use it: it is made for its owner alone.
/// </summary>
public sealed class ControlSocket : IDisposable
{
    private const int MaxClients = 16;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10), Pause = TimeSpan.FromMilliseconds(100);

    private readonly ListeningSocket _place;
    private readonly Socket _listener;
    private readonly SemaphoreSlim _places = new(MaxClients);
    private readonly RequestGate _lines = new();
    private readonly Func<string, Task<string>> _execute;
    private readonly ServeLog _log;
    private volatile bool _closed;

    /// <param name="place">Where it is; owned.</param>
    /// <param name="execute">Runs a line.</param>
    /// <param name="log">Told of each line.</param>
    public ControlSocket(ListeningSocket place, Func<string, Task<string>> execute, ServeLog log)
    {
        _place = place;
        _execute = execute;
        _log = log;
        _listener = place.Socket;
        _ = Task.Run(RunAsync);
    }

    public void Dispose()
    {
        _closed = true;
        _listener.Dispose();
        _place.Remove();
    }

    /// <summary>Takes no more clients, and no more lines of those that are there.</summary>
    /// <param name="limit">How long it waits for lines that run; they go on after that.</param>
    public async Task CloseAsync(TimeSpan limit)
    {
        Dispose();

        // it stays closed
        await Task.WhenAny(_lines.CloseAsync().AsTask(), Task.Delay(limit));
    }

    /// <summary>Sends one line to a server and gives its answer, which begins with <c>ok</c>.</summary>
    /// <exception cref="ToolException">There is no server, or it refuses; the message says why.</exception>
    public static async Task<string> AskAsync(string path, string line, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(UnixAddress.Of(path), cancellationToken);
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), cancellationToken);
            using var reader = new StreamReader(stream, Encoding.UTF8);
            string answer = await reader.ReadLineAsync(cancellationToken) ?? "error: the server closed the connection";
            return answer.StartsWith("ok", StringComparison.Ordinal)
                ? answer
                : throw new ToolException(answer.Replace("error: ", "", StringComparison.Ordinal));
        }
        catch (Exception e) when (e is SocketException or IOException or ArgumentException)
        {
            throw new ToolException($"no server answers at '{path}': {e.Message}");
        }
    }

    private async Task RunAsync()
    {
        while (true)
        {
            await _places.WaitAsync();
            try
            {
                _ = ServeAsync(await _listener.AcceptAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                _places.Release();
                if (_closed)
                {
                    return;
                }

                // no descriptor is free, perhaps: asking again at once would spin
                await Task.Delay(Pause);
            }
        }
    }

    // who closes the socket waits for the answer too
    private async Task AnswerAsync(NetworkStream stream, string line, bool tooLong)
    {
        int ticket = _lines.TryEnter();
        try
        {
            string answer = tooLong ? $"error: a line has at most {ControlLine.MaxLength} characters"
                : ticket < 0 ? "error: the server stops" : await _execute(line);
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

    // one line of one client; whatever becomes of it, the others go on
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

            // a power cut reads and writes images: not on the thread that all sockets wait for
            await Task.Yield();
            int end = line.AsSpan(0, length).IndexOf((byte)'\n');
            if (end < 0 && length < line.Length)
            {
                // it left in the middle of a line, which may say something else than it was to say
                return;
            }

            string text = Encoding.UTF8.GetString(line, 0, end < 0 ? length : end).Trim();
            await AnswerAsync(stream, text, end < 0);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // that client left
        }
        finally
        {
            _places.Release();
        }
    }
}
