using Paddock.Qcow2.Snapshots;

namespace Paddock.Images.Text;

/// <summary>Which snapshot <c>-l</c> names: <c>snapshot.id=ID,snapshot.name=NAME</c>, or an ID or a name by itself.</summary>
internal static class SnapshotParameter
{
    private const string Prefix = "snapshot.";

    /// <summary>Parses the parameter.</summary>
    /// <param name="text">Its value.</param>
    /// <param name="program">What messages begin with.</param>
    /// <param name="quote">The quotation mark before the value in the message.</param>
    /// <exception cref="ToolException">An option that there is not.</exception>
    public static SnapshotChoice Parse(string text, string program, char quote = '\'')
    {
        try
        {
            return Parse(text);
        }
        catch (ToolException e)
        {
            throw new ToolException($"{e.Message}\n{program}: Failed in parsing snapshot param {quote}{text}'", inner: e);
        }
    }

    private static SnapshotChoice Parse(string text)
    {
        if (!text.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return new(null, null) { IdOrName = text, KeepsSize = true };
        }

        var options = KeyValueOptions.ParseToDict(text);
        return options.InOrder.FirstOrDefault(static o => o.Key is not (Prefix + "id" or Prefix + "name")).Key is { } unknown
            ? throw new ToolException($"Invalid parameter '{unknown}'")
            : new(options[Prefix + "id"] as string, options[Prefix + "name"] as string) { KeepsSize = true };
    }
}
