using Paddock.Block;
using Paddock.Nvme;

namespace Paddock.Images.Nodes;

/// <summary>Where keys for NVMe's in-band authentication come from: files that only their owner can read, and the environment.</summary>
public static class DhChapSecrets
{
    /// <summary>The environment's name of the host's key.</summary>
    public const string HostVariable = "PADDOCK_DHCHAP_SECRET";

    /// <summary>The environment's name of the controller's key.</summary>
    public const string ControllerVariable = "PADDOCK_DHCHAP_CTRL_SECRET";

    private const string NqnPrefix = "nqn.";

    /// <summary>The keys in the environment; null: there are none.</summary>
    /// <param name="variable">Gives a variable's value.</param>
    public static DhChapKeys? FromEnvironment(Func<string, string?> variable)
    {
        string? host = variable(HostVariable), controller = variable(ControllerVariable);
        return string.IsNullOrEmpty(host)
            ? string.IsNullOrEmpty(controller) ? null
                : throw new ToolException($"{ControllerVariable} is set and {HostVariable} is not: a controller that proves itself wants a host that does")
            : new DhChapKeys(Parse(host, HostVariable), string.IsNullOrEmpty(controller) ? null : Parse(controller, ControllerVariable));
    }

    /// <summary>The keys in a file: <c>HOSTNQN KEY [CONTROLLERKEY]</c> a line, # begins a comment.</summary>
    /// <returns>By the host's name; that of a line without a name is empty.</returns>
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
                throw new ToolException($"{place}: a line is HOSTNQN KEY, or HOSTNQN KEY CONTROLLERKEY");
            }

            var keys = new DhChapKeys(Parse(words[0], place), words.Length == 2 ? Parse(words[1], place) : null);
            if (!found.TryAdd(host, keys))
            {
                throw new ToolException($"{place}: this host has keys already");
            }
        }

        return found;
    }

    /// <summary>The keys in a file for one host: the line with its name, or the line without a name.</summary>
    public static DhChapKeys ForHost(string path, string hostNqn)
    {
        var all = ReadFile(path);
        return all.GetValueOrDefault(hostNqn) ?? all.GetValueOrDefault("") ?? throw new ToolException($"'{path}' has no key of {hostNqn}");
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
            throw new ToolException($"{place}: no key: {e.Message}");
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
