using Paddock.Images.Text;

namespace Paddock.Server.Control;

/// <summary>The answer to a successful command: a sentence, and the same as fields.</summary>
/// <param name="Text">For people.</param>
/// <param name="Fields">For programs.</param>
internal sealed record ControlAnswer(string Text, JsonFields Fields)
{
    // a command line that begins with this word is answered in JSON
    private const string JsonWord = "json ";

    /// <summary>Splits the request for JSON from a command line.</summary>
    public static (string Line, bool IsJson) Split(string line)
        => line.StartsWith(JsonWord, StringComparison.Ordinal) ? (line[JsonWord.Length..].TrimStart(), true) : (line, false);

    /// <summary>A command line whose answer is JSON.</summary>
    public static string InJson(string line) => JsonWord + line;

    /// <summary>The answer's line; its fields contain the sentence too.</summary>
    public string Format(bool json) => "ok: " + (!json ? Text
        : JsonText.Readable(new JsonFields { { "answer", "ok: " + Text } }.WithAll(Fields)));
}
