using System.Globalization;
using System.Text;
using System.Text.Json;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;
using Paddock.Server.Live;

namespace Paddock.Server;

/// <summary>
/// The server's log: one line per event, as text or JSON. Values may come from clients and images; they are quoted and escaped, so that
/// they cannot forge a line or control a terminal.
/// </summary>
/// <param name="writer">Receives the lines.</param>
/// <param name="time">The clock.</param>
/// <param name="json">Whether lines are JSON objects.</param>
/// <param name="least">Less important events are not written.</param>
/// <param name="journal">
/// Whether systemd's journal reads the lines: they begin with a priority, as in <c>&lt;4&gt;</c>, and have no time.
/// </param>
public sealed class ServeLog(TextWriter writer, TimeProvider time, bool json, LogLevel least = LogLevel.Info, bool journal = false)
    : IDisposable
{
    private static readonly Dictionary<string, LogLevel> Levels = new()
    {
        ["flush failed"] = LogLevel.Error,
        ["image not reopened"] = LogLevel.Error,
        ["ownership lost"] = LogLevel.Error,
        ["take-over failed"] = LogLevel.Error,
        ["trace failed"] = LogLevel.Error,
        ["trace full"] = LogLevel.Warning,
        ["client error"] = LogLevel.Warning,
        ["evicted"] = LogLevel.Warning,
        ["format probed"] = LogLevel.Warning,
        ["reload failed"] = LogLevel.Warning,
        ["refused"] = LogLevel.Warning,
        ["rejected"] = LogLevel.Warning,
        ["warning"] = LogLevel.Warning,
        ["owner fenced"] = LogLevel.Warning,
        ["owner silent"] = LogLevel.Debug,
        ["queue connected"] = LogLevel.Debug,
        ["queue disconnected"] = LogLevel.Debug,
    };

    private readonly Lock _lock = new();

    // lines of a start that may still fail; null: lines are written at once
    private List<string>? _held;

    /// <summary>The last events, for those who watch the server.</summary>
    internal RecentEvents Recent { get; } = new(time);

    /// <summary>Level of an event.</summary>
    public static LogLevel LevelOf(string what) => Levels.GetValueOrDefault(what, LogLevel.Info);

    /// <summary>The log of a server as its settings say: their file, or standard error.</summary>
    /// <param name="settings">Level, format and file.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="otherwise">Level if the settings name none.</param>
    /// <exception cref="ToolException">Unknown level, or the file cannot be opened.</exception>
    public static ServeLog Open(ServeSettings settings, TextWriter error, LogLevel otherwise = LogLevel.Info)
    {
        var level = settings.LogLevel is { } name ? ParseLevel(name) : otherwise;
        return settings.LogFile is { } path ? new ServeLog(new LogFile(path), TimeProvider.System, settings.JsonLog, level)
            : new ServeLog(
                error, TimeProvider.System, settings.JsonLog, level,
                Terminal.IsJournal(Environment.GetEnvironmentVariable("JOURNAL_STREAM")));
    }

    /// <summary>The level of a name.</summary>
    /// <exception cref="ToolException">Unknown name; the message lists the valid ones.</exception>
    public static LogLevel ParseLevel(string name) => name switch
    {
        "error" => LogLevel.Error,
        "warning" => LogLevel.Warning,
        "info" => LogLevel.Info,
        "debug" => LogLevel.Debug,
        _ => throw new ToolException($"log-level '{name}': expected error, warning, info or debug", NativeExit.Usage),
    };

    /// <summary>
    /// Keeps lines below the level of a warning until <see cref="Release"/>: if the start fails, its reason comes first, and alone.
    /// </summary>
    public void Hold()
    {
        lock (_lock)
        {
            _held = [];
        }
    }

    /// <summary>Writes the lines that were kept.</summary>
    public void Release()
    {
        lock (_lock)
        {
            foreach (string line in _held ?? [])
            {
                writer.Write(line);
            }

            _held = null;
            writer.Flush();
        }
    }

    /// <summary>Opens the log file again, if there is one.</summary>
    /// <exception cref="ToolException">It cannot be opened; the previous one stays in use.</exception>
    public void Reopen()
    {
        lock (_lock)
        {
            (writer as LogFile)?.Reopen();
        }
    }

    /// <summary>Closes the log file, if there is one.</summary>
    public void Dispose() => (writer as LogFile)?.Dispose();

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

        Append(what, line);
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
        Append(what, line);
    }

    // the beginning of a line: time and event
    private StringBuilder Start(string what)
    {
        var line = new StringBuilder();
        if (journal)
        {
            line.Append(CultureInfo.InvariantCulture, $"<{PriorityOf(LevelOf(what))}>");
        }

        string now = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        return json ? line.Append(CultureInfo.InvariantCulture, $"{{\"time\":\"{now}\",\"event\":\"{JsonEncodedText.Encode(what)}\"")
            : line.Append(journal ? what : $"{now} {what}");
    }

    // of syslog(3)
    private static int PriorityOf(LogLevel level) => level switch
    {
        LogLevel.Error => 3,
        LogLevel.Warning => 4,
        LogLevel.Info => 6,
        _ => 7,
    };

    private void Append(string what, StringBuilder line)
    {
        line.Append('\n');
        lock (_lock)
        {
            if (_held is not null && LevelOf(what) > LogLevel.Warning)
            {
                _held.Add(line.ToString());
                return;
            }

            writer.Write(line.ToString());
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
