using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>Objects of <c>--object</c>: lists <c>TYPE,id=ID,...</c>, or JSON.</summary>
internal static class UserObjects
{
    private static readonly Dictionary<string, string[]> Properties = new()
    {
        ["secret"] = ["data", "file", "format", "keyid", "iv", "loaded"],
        ["secret_keyring"] = ["serial", "format", "keyid", "iv", "loaded"],
        ["tls-creds-x509"] = ["dir", "endpoint", "verify-peer", "priority", "sanity-check", "passwordid", "loaded"],
        ["tls-creds-psk"] = ["dir", "endpoint", "verify-peer", "priority", "username", "loaded"],
        ["authz-simple"] = ["identity"],
        ["authz-list"] = ["policy", "rules"],
        ["authz-list-file"] = ["filename", "refresh"],
    };

    // types of QEMU that nothing here uses
    private static readonly HashSet<string> Ignored =
        ["iothread", "main-loop", "throttle-group", "memory-backend-ram", "memory-backend-file", "memory-backend-memfd", "rng-random",
            "rng-builtin", "tls-cipher-suites", "tls-creds-anon", "authz-pam", "can-bus", "cryptodev-backend", "qtest"];

    /// <summary>Parses an object.</summary>
    /// <exception cref="ToolException">It has an unknown type or property, or lacks an id.</exception>
    public static QDict Parse(string text)
    {
        // the first word of a list is the type, with or without "qom-type="
        var options = text.StartsWith('{')
            ? JsonReader.Parse(text) as QDict ?? throw new ToolException("an object in JSON is a dictionary")
            : KeyValueOptions.ParseToDict(text.StartsWith("qom-type=", StringComparison.Ordinal) ? text : "qom-type=" + text);
        options = options.Flatten();
        string type = options["qom-type"] as string ?? throw new ToolException("Parameter 'qom-type' is missing");
        string[]? known = null;
        if (!Ignored.Contains(type) && !Properties.TryGetValue(type, out known))
        {
            throw new ToolException($"Parameter 'qom-type' does not accept value '{type}'");
        }

        if (options["id"] is not string)
        {
            throw new ToolException("Parameter 'id' is missing");
        }

        if (known is not null)
        {
            foreach (var (key, _) in options.InOrder)
            {
                string name = key.Split('.')[0];
                if (name is not ("qom-type" or "id") && !known.Contains(name))
                {
                    throw new ToolException($"Parameter '{name}' is unexpected");
                }
            }
        }

        return options;
    }

    /// <summary>Rejects the first object that cannot be made. TLS credentials are read when they are used.</summary>
    /// <exception cref="ToolException">An object is invalid, or its secret cannot be read.</exception>
    public static void Check(IReadOnlyList<string> objects)
    {
        var ids = new HashSet<string>();
        for (int i = 0; i < objects.Count; i++)
        {
            var options = Parse(objects[i]);
            string id = (string)options["id"]!;
            if (id.Length == 0 || !char.IsAsciiLetter(id[0])
                || !id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_'))
            {
                throw new ToolException("Parameter 'id' expects an identifier\n"
                    + "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
            }

            if (!ids.Add(id))
            {
                throw new ToolException($"attempt to add duplicate property '{id}' to object (type 'container')");
            }

            if (options["qom-type"] is "secret")
            {
                SecretObjects.Check(objects, i);
            }
        }
    }

    /// <summary>The object with an id; null if absent.</summary>
    public static QDict? Find(IEnumerable<string> objects, string id)
        => objects.Select(Parse).FirstOrDefault(o => o["id"] as string == id);

    /// <summary>A property that has to be one of two words.</summary>
    public static string OneOf(QDict options, string key, string otherwise, string first, string second)
        => (options[key] as string ?? otherwise) is var value && (value == first || value == second)
            ? value : throw new ToolException($"Parameter '{key}' does not accept value '{value}'");
}
