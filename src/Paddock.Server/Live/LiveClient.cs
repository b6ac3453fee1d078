using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Control;

namespace Paddock.Server.Live;

/// <summary>Follows the live feed of a server through its control socket.</summary>
public static class LiveClient
{
    // a frame of the most runs that a server sends is below 2 MiB
    private const int MaxLine = 16 << 20;

    /// <summary>The frames of a server: a snapshot, then what has changed, until the server stops.</summary>
    /// <param name="path">Control socket of the server.</param>
    /// <param name="line">What to watch.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="ToolException">No server is listening, it rejected the command, or it sent something else.</exception>
    public static async IAsyncEnumerable<LiveFrame> WatchAsync(
        string path, WatchLine line, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await using var stream = await ControlSocket.ConnectAsync(path, line.Format(), cancellationToken);
        var reader = new LineReader(stream, MaxLine);
        string answer = await NextAsync(reader, path, cancellationToken) is { } first
            ? Encoding.UTF8.GetString(first.Span) : "error: the server closed the connection";
        if (!answer.StartsWith("ok", StringComparison.Ordinal))
        {
            throw new ToolException(answer.Replace("error: ", "", StringComparison.Ordinal));
        }

        while (await NextAsync(reader, path, cancellationToken) is { } json)
        {
            yield return Parse(json.Span, path);
        }
    }

    private static LiveFrame Parse(ReadOnlySpan<byte> json, string path)
    {
        try
        {
            return JsonSerializer.Deserialize(json, LiveJson.Default.LiveFrame) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new ToolException($"the server at '{path}' sent a line that is no frame of the live feed: {e.Message}");
        }
    }

    private static async ValueTask<ReadOnlyMemory<byte>?> NextAsync(LineReader reader, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.ReadAsync(cancellationToken);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            throw new ToolException($"the connection to the server at '{path}' was lost: {FileErrorText.OfSocket(e, path)}");
        }
    }

    /// <summary>Reads lines of a stream into one buffer.</summary>
    private sealed class LineReader(Stream stream, int most)
    {
        private byte[] _buffer = new byte[64 << 10];
        private int _start, _end;

        /// <summary>The next line, valid until the next call; null: the end.</summary>
        /// <exception cref="ToolException">The line is too long.</exception>
        public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellationToken)
        {
            int looked = 0;
            while (true)
            {
                int at = _buffer.AsSpan(_start + looked, _end - _start - looked).IndexOf((byte)'\n');
                if (at >= 0)
                {
                    var line = _buffer.AsMemory(_start, looked + at);
                    _start += looked + at + 1;
                    return line;
                }

                looked = _end - _start;
                MakeRoom();
                int got = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
                if (got == 0)
                {
                    return null;
                }

                _end += got;
            }
        }

        private void MakeRoom()
        {
            if (_start > 0)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                (_start, _end) = (0, _end - _start);
            }

            if (_end == _buffer.Length)
            {
                Array.Resize(ref _buffer, _buffer.Length < most ? _buffer.Length * 2
                    : throw new ToolException($"the server sent a line of more than {most} bytes"));
            }
        }
    }
}
