using System.Text;
using System.Text.Json;
using Paddock.Block;
using Paddock.Server.Live;

namespace Paddock.Server;

/// <summary>
/// The server's log: one line per event, as text or JSON. Values may come from clients and images; they are quoted and escaped, so that
/// they cannot forge a line or control a terminal.
/// </summary>
public sealed class ServeLog(TextWriter writer, TimeProvider time, bool json)
{
    private readonly Lock _lock = new();

    /// <summary>The last events, for those who watch the server.</summary>
    internal RecentEvents Recent { get; } = new(time);

    /// <summary>Writes a line.</summary>
    /// <param name="what">Name of the event; part of the interface.</param>
    /// <param name="facts">Names and values.</param>
    public void Write(string what, params ReadOnlySpan<(string Name, string Value)> facts)
    {
        Recent.Add(what, facts);
        string now = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);
        var line = new System.Text.StringBuilder();
        if (json)
        {
            line.Append($"{{\"time\":\"{now}\",\"event\":\"{JsonEncodedText.Encode(what)}\"");
            foreach (var (name, value) in facts)
            {
                line.Append($",\"{name}\":\"{Encode(value)}\"");
            }

            line.Append('}');
        }
        else
        {
            line.Append($"{now} {what}");
            foreach (var (name, value) in facts)
            {
                line.Append($" {name}={EscapedText.Quote(value)}");
            }
        }

        lock (_lock)
        {
            writer.Write(line.Append('\n').ToString());
            writer.Flush();
        }
    }

    // JSON cannot represent bytes of a file name that are not valid UTF-8
    private static JsonEncodedText Encode(string value)
    {
        foreach (var rune in value.EnumerateRunes())
        {
            if (rune == Rune.ReplacementChar)
            {
                return JsonEncodedText.Encode(EscapedText.Escape(value));
            }
        }

        return JsonEncodedText.Encode(value);
    }
}
