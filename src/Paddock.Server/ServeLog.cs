using System.Globalization;
using System.Text;
using System.Text.Json;
using Paddock.Block;
using Paddock.Server.Live;

namespace Paddock.Server;

/// <summary>
/// The server's log: one line per event, as text or JSON. Values may come from clients and images; they are quoted and escaped, so that
/// they cannot forge a line or control a terminal.
/// </summary>
/// <param name="writer">Receives the lines.</param>
/// <param name="time">The clock.</param>
/// <param name="json">Whether lines are JSON objects.</param>
/// <param name="least">Events below this level are not written.</param>
public sealed class ServeLog(TextWriter writer, TimeProvider time, bool json, LogLevel least = LogLevel.Info)
{
    private static readonly Dictionary<string, LogLevel> Levels = new()
    {
        ["flush failed"] = LogLevel.Error,
        ["image not reopened"] = LogLevel.Error,
        ["client error"] = LogLevel.Warning,
        ["evicted"] = LogLevel.Warning,
        ["format probed"] = LogLevel.Warning,
        ["reload failed"] = LogLevel.Warning,
        ["refused"] = LogLevel.Warning,
        ["rejected"] = LogLevel.Warning,
        ["warning"] = LogLevel.Warning,
    };

    private readonly Lock _lock = new();

    /// <summary>The last events, for those who watch the server.</summary>
    internal RecentEvents Recent { get; } = new(time);

    /// <summary>Level of an event.</summary>
    public static LogLevel LevelOf(string what) => Levels.GetValueOrDefault(what, LogLevel.Info);

    /// <summary>Writes a line.</summary>
    /// <param name="what">Name of the event; part of the interface.</param>
    /// <param name="facts">Names and values.</param>
    public void Write(string what, params ReadOnlySpan<(string Name, string Value)> facts)
    {
        Recent.Add(what, facts);
        if (LevelOf(what) > least)
        {
            return;
        }

        var line = Start(what);
        if (json)
        {
            foreach (var (name, value) in facts)
            {
                line.Append($",\"{name}\":\"{Encode(value)}\"");
            }

            line.Append('}');
        }
        else
        {
            foreach (var (name, value) in facts)
            {
                line.Append($" {name}={EscapedText.Quote(value)}");
            }
        }

        Append(line);
    }

    /// <summary>Writes a line with one value that is a list: an array in JSON, otherwise separated by blanks.</summary>
    /// <param name="what">Name of the event.</param>
    /// <param name="name">Name of the value.</param>
    /// <param name="values">The list.</param>
    public void WriteList(string what, string name, IEnumerable<string> values)
    {
        if (!json)
        {
            Write(what, (name, string.Join(' ', values)));
            return;
        }

        if (LevelOf(what) > least)
        {
            return;
        }

        var line = Start(what);
        line.Append(CultureInfo.InvariantCulture, $",\"{name}\":[{string.Join(',', values.Select(v => $"\"{Encode(v)}\""))}]}}");
        Append(line);
    }

    // the beginning of a line: time and event
    private StringBuilder Start(string what)
    {
        string now = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        return new StringBuilder(json ? $"{{\"time\":\"{now}\",\"event\":\"{JsonEncodedText.Encode(what)}\"" : $"{now} {what}");
    }

    private void Append(StringBuilder line)
    {
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
