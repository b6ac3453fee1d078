using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Nvme;

namespace Paddock.Server;

/// <summary>Authentication settings and keys.</summary>
internal static class ServeKeys
{
    /// <summary>The authentication policy; null: hosts need not authenticate.</summary>
    /// <param name="settings">Key file, allowed hashes and groups.</param>
    /// <param name="variable">Reads an environment variable.</param>
    public static DhChapPolicy? PolicyOf(ServeSettings settings, Func<string, string?> variable)
    {
        var hosts = settings.DhchapKeys is { } path ? DhChapSecrets.ReadFile(path) : [];
        if (hosts.ContainsKey(""))
        {
            throw new ToolException($"'{settings.DhchapKeys}': a line has no host NQN; expected HOSTNQN KEY [CONTROLLERKEY]");
        }

        if (settings.DhchapKeys is not null && hosts.Count == 0)
        {
            throw new ToolException($"'{settings.DhchapKeys}' contains no keys: no host could connect");
        }

        var hashes = Named<DhChapHash>(settings.DhchapHashes, "dhchap-hashes", "sha256, sha384 or sha512");
        var groups = Named<DhChapGroup>(
            settings.DhchapGroups, "dhchap-groups", "null, ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144 or ffdhe8192");
        var others = DhChapSecrets.FromEnvironment(variable);
        if (hosts.Count == 0 && others is null)
        {
            return hashes.Count + groups.Count == 0 ? null
                : throw new ToolException("dhchap-hashes and dhchap-groups require keys: specify dhchap-keys");
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
                ? value : throw new ToolException($"{setting} '{name}': expected {known}"));
        }

        return found;
    }
}
