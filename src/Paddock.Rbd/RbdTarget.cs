using System.Globalization;
using System.Text;

namespace Paddock.Rbd;

/// <summary>
/// An image in RBD and how its cluster is reached. As a name it is written as QEMU does:
/// <c>rbd:POOL[/NAMESPACE]/IMAGE[@SNAPSHOT][:id=USER][:conf=FILE][:KEY=VALUE...]</c>, where a backslash takes the meaning from the
/// character after it.
/// </summary>
internal sealed record RbdTarget
{
    /// <summary>What names begin with.</summary>
    public const string Prefix = "rbd:";

    // of Ceph: RBD_MAX_IMAGE_NAME_SIZE, and the same for names of pools, namespaces and snapshots
    private const int MaxNameBytes = 95;
    private const string Special = ":@/=\\";

    // the only options whose values are secrets
    private static readonly string[] SecretOptions = ["key"];

    /// <summary>Name of the pool.</summary>
    public required string Pool { get; init; }

    /// <summary>Namespace in the pool; empty for the default one.</summary>
    public string Namespace { get; init; } = "";

    /// <summary>Name of the image.</summary>
    public required string Image { get; init; }

    /// <summary>Snapshot that is opened, for reading only; null: the image itself.</summary>
    public string? Snapshot { get; init; }

    /// <summary>User without "client."; null: the configured one, mostly admin.</summary>
    public string? User { get; init; }

    /// <summary>Configuration file; null: the usual places, of which the variable CEPH_CONF names the first.</summary>
    public string? ConfigurationFile { get; init; }

    /// <summary>Options of Ceph's configuration, in order; they count more than the file.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Options { get; init; } = [];

    /// <summary>Monitors, HOST:PORT, separated by commas; null: the configured ones.</summary>
    public string? Monitors { get; init; }

    /// <summary>The user's key in base64; null: it is in a keyring. Never part of a name or a message.</summary>
    public string? Key { get; init; }

    /// <summary>
    /// Whether the client of the cluster may be one that this process has already (<see cref="RbdConnection"/>). No part of a name.
    /// </summary>
    public bool SharesConnection { get; init; }

    /// <summary>The pool, namespace, image and snapshot, for messages.</summary>
    public string Spec => Pool + "/" + (Namespace.Length > 0 ? Namespace + "/" : "") + Image + (Snapshot is null ? "" : "@" + Snapshot);

    /// <summary>Whether a name is one of an image in RBD.</summary>
    public static bool IsName(string? name) => name?.StartsWith(Prefix, StringComparison.Ordinal) == true;

    /// <summary>The name of the image alone, for titles; null if the name is not one in RBD, or malformed.</summary>
    public static string? ShortName(string name)
    {
        try
        {
            return IsName(name) ? Parse(name).Image : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    /// <summary>Parses a name.</summary>
    /// <exception cref="FormatException">It is malformed, or holds a secret.</exception>
    public static RbdTarget Parse(string name)
    {
        var rest = new Scanner(name, Prefix.Length);
        string pool = rest.Until('/', ":@") ?? throw Malformed(name, "Pool name is required");
        string first = rest.Until('/', ":@") is { } space ? space : "";
        string image = rest.UntilAny('@', ':', out char end);
        string? snapshot = end == '@' ? rest.UntilAny(':', ':', out end) : null;
        var target = new RbdTarget { Pool = pool, Namespace = first, Image = image, Snapshot = snapshot };
        var options = new List<KeyValuePair<string, string>>();
        while (end == ':')
        {
            string key = rest.UntilAny('=', ':', out end);
            if (end != '=')
            {
                throw Malformed(name, $"conf option {key} has no value");
            }

            options.Add(KeyValuePair.Create(key, rest.UntilAny(':', ':', out end)));
        }

        return target.With(options).Checked();
    }

    /// <summary>Applies options of Ceph as they stand in a name: <c>id</c> and <c>conf</c> are the user and the file.</summary>
    /// <exception cref="FormatException">An option is a secret.</exception>
    public RbdTarget With(IEnumerable<KeyValuePair<string, string>> pairs)
    {
        var (target, options) = (this, new List<KeyValuePair<string, string>>(Options));
        foreach (var (key, value) in pairs)
        {
            if (SecretOptions.Contains(key))
            {
                throw new FormatException(
                    $"{key}= puts a secret where others can see it: name a file with keyring= or keyfile=, or use key-secret=ID and "
                    + "--object secret,id=ID,file=FILE");
            }

            switch (key)
            {
                case "id":
                    target = target with { User = value };
                    break;
                case "conf":
                    target = target with { ConfigurationFile = value };
                    break;
                default:
                    options.Add(KeyValuePair.Create(key, value));
                    break;
            }
        }

        return target with { Options = options };
    }

    /// <summary>Rejects names that Ceph does not have.</summary>
    /// <exception cref="FormatException">A name is empty or too long.</exception>
    public RbdTarget Checked()
    {
        Check("pool", Pool, isRequired: true);
        Check("namespace", Namespace, isRequired: false);
        Check("image", Image, isRequired: true);
        Check("snapshot", Snapshot ?? "", isRequired: Snapshot is not null);
        return this;
    }

    /// <summary>The name that opens the same image, without a key.</summary>
    public override string ToString()
    {
        var text = new StringBuilder(Prefix).Append(Escape(Pool)).Append('/');
        _ = Namespace.Length > 0 ? text.Append(Escape(Namespace)).Append('/') : text;
        text.Append(Escape(Image));
        _ = Snapshot is null ? text : text.Append('@').Append(Escape(Snapshot));
        foreach (var (key, value) in Pairs())
        {
            text.Append(':').Append(Escape(key)).Append('=').Append(Escape(value));
        }

        return text.ToString();
    }

    private IEnumerable<KeyValuePair<string, string>> Pairs()
    {
        if (User is not null)
        {
            yield return KeyValuePair.Create("id", User);
        }

        if (ConfigurationFile is not null)
        {
            yield return KeyValuePair.Create("conf", ConfigurationFile);
        }

        if (Monitors is not null)
        {
            yield return KeyValuePair.Create("mon_host", Monitors);
        }

        foreach (var pair in Options)
        {
            yield return pair;
        }
    }

    // '/' and '@' mean nothing in values, but QEMU finds an '@' anywhere
    private static string Escape(string text)
    {
        var escaped = new StringBuilder();
        foreach (char c in text)
        {
            _ = Special.Contains(c) ? escaped.Append('\\') : escaped;
            escaped.Append(c);
        }

        return escaped.ToString();
    }

    private static void Check(string what, string name, bool isRequired)
    {
        int bytes = Encoding.UTF8.GetByteCount(name);
        if ((bytes == 0 && isRequired) || bytes > MaxNameBytes || name.Contains('\0', StringComparison.Ordinal))
        {
            throw new FormatException(
                bytes == 0 ? $"the name of the {what} is missing: expected rbd:POOL/IMAGE"
                    : string.Create(CultureInfo.InvariantCulture, $"the name of the {what} has {bytes} bytes: at most {MaxNameBytes}"));
        }
    }

    // without the options, which may hold a key
    private static FormatException Malformed(string name, string why)
        => new($"'{Prefix}{new Scanner(name, Prefix.Length).UntilAny(':', ':', out _)}': {why}; "
            + "expected rbd:POOL[/NAMESPACE]/IMAGE[@SNAPSHOT][:KEY=VALUE...]");

    /// <summary>Takes a name apart at characters that no backslash is before.</summary>
    private sealed class Scanner(string text, int at)
    {
        private int _at = at;

        /// <summary>The text up to a character, if that comes before any of some others and before the end; else null.</summary>
        public string? Until(char wanted, string others)
        {
            int end = Find(wanted + others);
            return end < text.Length && text[end] == wanted ? Take(end) : null;
        }

        /// <summary>The text up to one of two characters, or to the end.</summary>
        public string UntilAny(char one, char other, out char found)
        {
            int end = Find($"{one}{other}");
            found = end < text.Length ? text[end] : '\0';
            return Take(end);
        }

        private int Find(string wanted)
        {
            int end = _at;
            while (end < text.Length && !wanted.Contains(text[end]))
            {
                end += text[end] == '\\' && end + 1 < text.Length ? 2 : 1;
            }

            return Math.Min(end, text.Length);
        }

        private string Take(int end)
        {
            var taken = new StringBuilder();
            for (int i = _at; i < end; i++)
            {
                i += text[i] == '\\' && i + 1 < end ? 1 : 0;
                taken.Append(text[i]);
            }

            _at = Math.Min(end + 1, text.Length);
            return taken.ToString();
        }
    }
}
