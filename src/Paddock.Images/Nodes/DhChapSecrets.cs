using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Images.Nodes;

/// <summary>Keys for NVMe in-band authentication, from files that only their owner can read and from the environment.</summary>
internal static class DhChapSecrets
{
    /// <summary>Environment variable with the host key.</summary>
    public const string HostVariable = "PADDOCK_DHCHAP_SECRET";

    /// <summary>Environment variable with the controller key.</summary>
    public const string ControllerVariable = "PADDOCK_DHCHAP_CTRL_SECRET";

    private const string NqnPrefix = "nqn.";

    /// <summary>The keys in the environment; null if there are none.</summary>
    /// <param name="variable">Reads an environment variable.</param>
    public static DhChapKeys? FromEnvironment(Func<string, string?> variable)
    {
        string? host = variable(HostVariable), controller = variable(ControllerVariable);
        return string.IsNullOrEmpty(host)
            ? string.IsNullOrEmpty(controller) ? null
                : throw new ToolException(
                    $"{ControllerVariable} requires {HostVariable}: the controller authenticates only to hosts that authenticate")
            : new DhChapKeys(Parse(host, HostVariable), string.IsNullOrEmpty(controller) ? null : Parse(controller, ControllerVariable));
    }

    /// <summary>Reads a key file: <c>HOSTNQN KEY [CONTROLLERKEY]</c> per line; # begins a comment.</summary>
    /// <returns>Keys by host NQN; empty for a line without one.</returns>
    public static Dictionary<string, DhChapKeys> ReadFile(string path)
    {
        var found = new Dictionary<string, DhChapKeys>();
        string[] lines = ReadLines(path);
        for (int i = 0; i < lines.Length; i++)
        {
            string place = $"'{path}', line {i + 1}";
            string[] words = lines[i].Split('#')[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0)
            {
                continue;
            }

            string host = "";
            if (words[0].StartsWith(NqnPrefix, StringComparison.Ordinal))
            {
                (host, words) = (words[0], words[1..]);
            }

            if (words.Length is not (1 or 2))
            {
                throw new ToolException($"{place}: expected HOSTNQN KEY [CONTROLLERKEY]");
            }

            var keys = new DhChapKeys(Parse(words[0], place), words.Length == 2 ? Parse(words[1], place) : null);
            if (!found.TryAdd(host, keys))
            {
                throw new ToolException($"{place}: duplicate keys for this host");
            }
        }

        return found;
    }

    /// <summary>The keys of one host: from the line with its NQN, or from the line without NQN.</summary>
    public static DhChapKeys ForHost(string path, string hostNqn)
    {
        var all = ReadFile(path);
        return all.GetValueOrDefault(hostNqn) ?? all.GetValueOrDefault("") ?? throw new ToolException($"'{path}' has no key for {hostNqn}");
    }

    private static DhChapKey Parse(string text, string place)
    {
        try
        {
            return DhChapKey.Parse(text.Trim());
        }
        catch (FormatException e)
        {
            // the message never repeats the key
            throw new ToolException($"{place}: invalid key: {e.Message}");
        }
    }

    private static string[] ReadLines(string path)
    {
        try
        {
            return SecretFile.ReadText(path).Split('\n');
        }
        catch (IOException e)
        {
            throw new ToolException(e.Message.Contains(path, StringComparison.Ordinal) ? e.Message : $"cannot read '{path}': {e.Message}");
        }
    }
}
