using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;

namespace Paddock.Server;

/// <summary>Explains errors in a configuration file in terms of its keys, not of the classes it is read into.</summary>
internal static partial class SettingsErrors
{
    /// <summary>Describes an error: line, key, and what is expected.</summary>
    public static string Of(JsonException failure)
    {
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
                : failure.Message.StartsWith("Expected depth to be zero", StringComparison.Ordinal)
                ? "unexpected end of file: a { or [ is not closed"
                : Place().Replace(failure.Message, ""));
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

    // the parser's own description of the place
    [GeneratedRegex(@" Path: .*$", RegexOptions.Singleline)]
    private static partial Regex Place();
}
