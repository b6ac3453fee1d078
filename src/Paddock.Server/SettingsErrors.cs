using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;

namespace Paddock.Server;

/// <summary>Explains errors in a configuration file in terms of its keys, not of the classes it is read into.</summary>
internal static partial class SettingsErrors
{
    // how the parser's messages begin
    private const string Unclosed = "Expected depth to be zero";

    private const string UnexpectedEnd = "unexpected end of file: a { or [ is not closed";

    /// <summary>Line of a key of the outermost object, from 1; null if it is not there.</summary>
    public static int? LineOf(ReadOnlySpan<byte> text, string key)
    {
        var reader = new Utf8JsonReader(
            text, new JsonReaderOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == 1 && reader.ValueTextEquals(key))
            {
                return 1 + text[..(int)reader.TokenStartIndex].Count((byte)'\n');
            }
        }

        return null;
    }

    /// <summary>Describes an error: line, key, and what is expected.</summary>
    public static string Of(JsonException failure)
    {
        if (failure.Message.StartsWith("The input does not contain any JSON tokens", StringComparison.Ordinal))
        {
            return "the file is empty; expected an object with settings";
        }

        if (DuplicateKey().Match(failure.Message) is { Success: true } twice)
        {
            return $"line {failure.LineNumber + 1}: key '{twice.Groups[1].Value}' is given twice";
        }

        string path = failure.Path is null or "$" ? "" : failure.Path["$".Length..].TrimStart('.');
        bool isImage = path.StartsWith("images[", StringComparison.Ordinal);
        var type = isImage ? (JsonTypeInfo)ServeJson.Default.ServedImage : ServeJson.Default.ServeSettings;
        string key = isImage ? path[(path.IndexOf(']', StringComparison.Ordinal) + 1)..].TrimStart('.') : path.Split('[')[0];
        string[] known = [.. type.Properties.Select(p => p.Name)];
        string line = $"line {failure.LineNumber + 1}: ";
        if (key.Length == 0)
        {
            return line + (failure.Message.Contains("missing required", StringComparison.Ordinal) ? $"{path} has no \"path\""
                : failure.Message.Contains("converted", StringComparison.Ordinal) ? $"expected an object{(isImage ? "" : " with settings")}"
                : failure.Message.StartsWith(Unclosed, StringComparison.Ordinal) ? UnexpectedEnd
                : Place().Replace(failure.Message, ""));
        }

        if (failure.Message.Contains("end of data", StringComparison.Ordinal)
            || failure.Message.StartsWith(Unclosed, StringComparison.Ordinal))
        {
            return line + UnexpectedEnd;
        }

        if (Array.IndexOf(known, key) < 0)
        {
            return $"{line}unknown key '{key}'{Spelling.Hint(key, known)}; expected one of {string.Join(", ", known.Order())}";
        }

        return failure.Message.Contains("converted", StringComparison.Ordinal)
            ? $"{line}{path}: expected {Expected(type.Properties.First(p => p.Name == key).PropertyType)}"
            : $"{line}{path}: {Place().Replace(failure.Message, "")}";
    }

    private static string Expected(Type type)
        => type == typeof(bool) ? "true or false"
            : type == typeof(int) || type == typeof(int?) ? "a whole number"
            : type == typeof(string) ? "a string"
            : type == typeof(IReadOnlyList<ServedImage>) ? "an array of objects, such as [{ \"path\": \"disk.qcow2\" }]"
            : "an array of strings";

    [GeneratedRegex(@"^Duplicate property '(.*?)' encountered")]
    private static partial Regex DuplicateKey();

    // the parser's own description of the place
    [GeneratedRegex(@" Path: .*$", RegexOptions.Singleline)]
    private static partial Regex Place();
}
