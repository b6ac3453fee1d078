using System.Text.Json;

namespace Paddock.Tools.Serve;

/// <summary>The server's log: a line for each thing that happened, for people or as JSON.</summary>
internal sealed class ServeLog(TextWriter writer, TimeProvider time, bool json)
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
                line.Append($",\"{name}\":\"{JsonEncodedText.Encode(value)}\"");
            }

            line.Append('}');
        }
        else
        {
            line.Append($"{now} {what}");
            foreach (var (name, value) in facts)
            {
                line.Append($" {name}={value}");
            }
        }

        lock (_lock)
        {
            writer.Write(line.Append('\n').ToString());
            writer.Flush();
        }
    }
}
