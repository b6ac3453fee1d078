using System.Globalization;

namespace Paddock.Tools;

/// <summary>How long a remote drive's lost connection is tried again: <c>reconnect=SECONDS</c> behind its name, 0 for not at all.</summary>
internal static class NvmeReconnect
{
    private const string Key = "reconnect=";
    private const uint MostSeconds = 86400;

    private static readonly TimeSpan Default = TimeSpan.FromSeconds(5);

    /// <summary>Takes the option off a name.</summary>
    /// <exception cref="ToolException">It is no number of seconds.</exception>
    public static (string Name, TimeSpan Time) Take(string name)
    {
        int at = Math.Max(name.LastIndexOf("?" + Key, StringComparison.Ordinal), name.LastIndexOf("&" + Key, StringComparison.Ordinal));
        if (at < 0)
        {
            return (name, Default);
        }

        int start = at + 1 + Key.Length, end = name.IndexOf('&', start);
        string text = end < 0 ? name[start..] : name[start..end];
        if (!uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds) || seconds > MostSeconds)
        {
            throw new ToolException($"'{Key}{text}' in '{name}' is no number of seconds, 0 to {MostSeconds}");
        }

        string rest = end < 0 ? "" : name[at] + name[(end + 1)..];
        return (name[..at] + rest, TimeSpan.FromSeconds(seconds));
    }
}
