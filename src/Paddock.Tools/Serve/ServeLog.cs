using System.Text;
using System.Text.Json;
using Paddock.Block;

namespace Paddock.Tools.Serve;

/// <summary>
/// The server's log: one line for each event, for people or as JSON. Values may come from clients and images: they are quoted and escaped here,
/// so that none can forge a line or reach a terminal.
/// </summary>
public sealed class ServeLog(TextWriter writer, TimeProvider time, bool json)
{
    private readonly Lock _lock = new();

    /// <summary>Writes a line.</summary>
    /// <param name="what">What happened, in a few words that do not change.</param>
    /// <param name="facts">Names and values.</param>
    public void Write(string what, params ReadOnlySpan<(string Name, string Value)> facts)
    {
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

    // JSON has escapes of its own, but none for what is no text at all (bytes of a file name)
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
