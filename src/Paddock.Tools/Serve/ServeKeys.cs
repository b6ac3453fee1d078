using Paddock.Nvme;

namespace Paddock.Tools.Serve;

/// <summary>What settings and environment say of authentication.</summary>
internal static class ServeKeys
{
    /// <summary>The keys and rules; null: hosts need not authenticate.</summary>
    /// <param name="settings">Names the file of keys, and what may be agreed.</param>
    /// <param name="variable">Gives a variable of the environment.</param>
    public static DhChapPolicy? PolicyOf(ServeSettings settings, Func<string, string?> variable)
    {
        var hosts = settings.DhchapKeys is { } path ? DhChapSecrets.ReadFile(path) : [];
        if (hosts.ContainsKey(""))
        {
            throw new ToolException($"'{settings.DhchapKeys}': a line is HOSTNQN KEY, or HOSTNQN KEY CONTROLLERKEY; one has no host's name");
        }

        if (settings.DhchapKeys is not null && hosts.Count == 0)
        {
            throw new ToolException($"'{settings.DhchapKeys}' holds no keys: no host could connect");
        }

        var hashes = Named<DhChapHash>(settings.DhchapHashes, "dhchap-hashes", "sha256, sha384 and sha512");
        var groups = Named<DhChapGroup>(settings.DhchapGroups, "dhchap-groups", "null, ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144 and ffdhe8192");
        var others = DhChapSecrets.FromEnvironment(variable);
        if (hosts.Count == 0 && others is null)
        {
            return hashes.Count + groups.Count == 0 ? null : throw new ToolException("dhchap-hashes and dhchap-groups mean nothing without keys");
        }

        return new DhChapPolicy
        {
            Hosts = hosts,
            Others = others,
            Hashes = hashes.Count > 0 ? hashes : DhChapPolicy.DefaultHashes,
            Groups = groups.Count > 0 ? groups : DhChapPolicy.DefaultGroups,
        };
    }

    private static List<T> Named<T>(IReadOnlyList<string> names, string setting, string known)
        where T : struct, Enum
    {
        var found = new List<T>();
        foreach (string name in names)
        {
            found.Add(name.Length > 0 && char.IsAsciiLetter(name[0]) && Enum.TryParse<T>(name, ignoreCase: true, out var value)
                ? value : throw new ToolException($"{setting} '{name}': there are {known}"));
        }

        return found;
    }
}
