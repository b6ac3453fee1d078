using System.IO.Enumeration;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>Access rules among the objects of <c>--object</c>: which names a server serves.</summary>
internal static class AuthzObjects
{
    private const long MaxFileBytes = 1 << 20;

    /// <summary>Finds the object with an id.</summary>
    /// <returns>Whether a name is allowed.</returns>
    /// <exception cref="ToolException">No object has the ID, or it is invalid.</exception>
    public static Func<string, bool> Load(IEnumerable<string> objects, string id)
    {
        var options = UserObjects.Find(objects, id)
            ?? throw new ToolException($"No authorization object with id '{id}': add --object authz-simple,id={id},identity=NAME");
        switch (options["qom-type"])
        {
            case "authz-simple":
                string identity = options["identity"] as string ?? throw new ToolException("Parameter 'identity' is missing");
                return name => name == identity;
            case "authz-list":
                return List.From(options).Allows;
            case "authz-list-file":
                return new ListFile(
                    options["filename"] as string ?? throw new ToolException("Parameter 'filename' is missing"),
                    options["refresh"] switch
                    {
                        null => true,
                        bool flag => flag,
                        var text => Qcow2Options.Flag("refresh", text as string ?? ""),
                    }).Allows;
            case var type:
                throw new ToolException($"Object with id '{id}' has type '{type}': expected authz-simple, authz-list or authz-list-file");
        }
    }

    /// <summary>Rules in order: the first that matches decides, then the policy of the list.</summary>
    private sealed record List(bool Policy, List<(string Match, bool IsAllowed, bool IsGlob)> Rules)
    {
        public static List From(QDict options)
        {
            var rules = new List<(string, bool, bool)>();
            for (int i = 0; options.TakePrefix($"rules.{i}") is { Count: > 0 } rule; i++)
            {
                rules.Add((
                    rule["match"] as string ?? throw new ToolException($"Parameter 'rules[{i}].match' is missing"),
                    rule.Contains("policy") ? UserObjects.OneOf(rule, "policy", "deny", "allow", "deny") == "allow"
                        : throw new ToolException($"Parameter 'rules[{i}].policy' is missing"),
                    UserObjects.OneOf(rule, "format", "exact", "exact", "glob") == "glob"));
                Require(rule, $"rules[{i}].", "match", "policy", "format");
            }

            // a rule behind a gap or a misspelled name must not be left out silently
            Require(options, "", options["rules"] is List<object?> ? "rules" : "", "policy", "qom-type", "id");
            return new(UserObjects.OneOf(options, "policy", "deny", "allow", "deny") == "allow", rules);
        }

        public bool Allows(string name)
        {
            foreach (var (match, isAllowed, isGlob) in Rules)
            {
                if (isGlob ? MatchesGlob(match, name) : match == name)
                {
                    return isAllowed;
                }
            }

            return Policy;
        }

        private static void Require(QDict options, string prefix, params string[] known)
        {
            if (options.InOrder.FirstOrDefault(o => !known.Contains(o.Key)).Key is { } other)
            {
                throw new ToolException($"Parameter '{prefix}{other}' is unexpected");
            }
        }

        // * and ? alone are special
        private static bool MatchesGlob(string pattern, string name) => FileSystemName.MatchesSimpleExpression(
            pattern.Replace("\\", "\\\\", StringComparison.Ordinal), name, ignoreCase: false);
    }

    /// <summary>Rules in a JSON file, read again when the file has changed.</summary>
    private sealed class ListFile
    {
        private readonly Lock _lock = new();
        private readonly string _path;
        private readonly bool _refresh;
        private DateTime _time;
        private List _list;

        public ListFile(string path, bool refresh)
        {
            (_path, _refresh) = (path, refresh);
            _list = Read();
        }

        public bool Allows(string name)
        {
            lock (_lock)
            {
                if (_refresh && File.GetLastWriteTimeUtc(_path) != _time)
                {
                    try
                    {
                        _list = Read();
                    }
                    catch (ToolException)
                    {
                        // nobody is let in by rules that cannot be read
                        return false;
                    }
                }

                return _list.Allows(name);
            }
        }

        private List Read()
        {
            try
            {
                var time = File.GetLastWriteTimeUtc(_path);
                if (new FileInfo(_path).Length > MaxFileBytes)
                {
                    throw new ToolException($"'{_path}' is larger than {MaxFileBytes} bytes, the limit for access rules");
                }

                var list = List.From((JsonReader.Parse(File.ReadAllText(_path)) as QDict
                    ?? throw new ToolException($"File '{_path}' must contain a JSON object")).Flatten());

                // only after success: a file that cannot be read is read again for every client
                _time = time;
                return list;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                string why = e is FileNotFoundException or DirectoryNotFoundException ? "No such file or directory" : e.Message;
                throw new ToolException($"Unable to read '{_path}': {why}");
            }
        }
    }
}
