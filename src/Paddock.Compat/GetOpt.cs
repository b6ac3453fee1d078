using Paddock.Images;

namespace Paddock.Compat;

/// <summary>One option that a command takes.</summary>
/// <param name="Letter">Its letter; NUL when it has none.</param>
/// <param name="Name">Its long name; empty when it has none.</param>
/// <param name="TakesValue">Whether a value must follow.</param>
public readonly record struct OptionSpec(char Letter, string Name, bool TakesValue)
{
    /// <summary>The name by which a command asks for it: the letter, or the long name where there is no letter.</summary>
    public string Key => Letter == '\0' ? Name : Letter.ToString();
}

/// <summary>One option as it was met.</summary>
/// <param name="Key">The <see cref="OptionSpec.Key"/>.</param>
/// <param name="Value">Its value; empty when it takes none.</param>
public readonly record struct ParsedOption(string Key, string Value);

/// <summary>
/// Parses a command line the way C tools do: clusters of letters, long names and their unambiguous beginnings, <c>--</c>, options
/// after operands. Messages are getopt's, without the program's name.
/// </summary>
public sealed class GetOpt
{
    private readonly IReadOnlyList<string> _args;
    private readonly OptionSpec[] _specs;
    private readonly bool _permute;
    private readonly List<string> _operands = [];
    private int _next;
    private string? _cluster;
    private int _inCluster;

    /// <param name="args">The words after the command's name.</param>
    /// <param name="specs">The options it takes.</param>
    /// <param name="permute">False to stop at the first operand.</param>
    public GetOpt(IReadOnlyList<string> args, IEnumerable<OptionSpec> specs, bool permute = true)
    {
        _args = args;
        _specs = [.. specs];
        _permute = permute;
    }

    /// <summary>The words that are no options; whole once <see cref="TryNext"/> has returned false.</summary>
    public IReadOnlyList<string> Operands => _operands;

    /// <summary>Builds specs from a getopt string (<c>"ab:c"</c>): a colon marks an option that takes a value.</summary>
    public static IEnumerable<OptionSpec> FromString(string letters)
    {
        for (int i = 0; i < letters.Length; i++)
        {
            bool takesValue = i + 1 < letters.Length && letters[i + 1] == ':';
            yield return new OptionSpec(letters[i], "", takesValue);
            i += takesValue ? 1 : 0;
        }
    }

    /// <summary>Moves to the next option.</summary>
    /// <exception cref="UsageException">An unknown option, or a value that is missing or must not be there.</exception>
    public bool TryNext(out ParsedOption option)
    {
        if (_cluster is not null)
        {
            option = NextInCluster();
            return true;
        }

        while (_next < _args.Count)
        {
            string word = _args[_next];
            if (word == "--")
            {
                _next++;
                break;
            }

            if (word.Length > 1 && word[0] == '-')
            {
                _next++;
                option = word[1] == '-' ? Long(word[2..]) : StartCluster(word);
                return true;
            }

            if (!_permute)
            {
                break;
            }

            _operands.Add(word);
            _next++;
        }

        while (_next < _args.Count)
        {
            _operands.Add(_args[_next++]);
        }

        option = default;
        return false;
    }

    private ParsedOption StartCluster(string word)
    {
        _cluster = word;
        _inCluster = 1;
        return NextInCluster();
    }

    private ParsedOption NextInCluster()
    {
        string cluster = _cluster!;
        char letter = cluster[_inCluster++];
        bool last = _inCluster == cluster.Length;
        int found = Array.FindIndex(_specs, s => s.Letter == letter && letter != '\0');
        if (last)
        {
            _cluster = null;
        }

        if (found < 0)
        {
            throw new UsageException($"invalid option -- '{letter}'", isFromGetOpt: true);
        }

        if (!_specs[found].TakesValue)
        {
            return new ParsedOption(_specs[found].Key, "");
        }

        _cluster = null;
        if (!last)
        {
            return new ParsedOption(_specs[found].Key, cluster[_inCluster..]);
        }

        return _next < _args.Count
            ? new ParsedOption(_specs[found].Key, _args[_next++])
            : throw new UsageException($"option requires an argument -- '{letter}'", isFromGetOpt: true);
    }

    private ParsedOption Long(string word)
    {
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? word : word[..equals];
        var spec = FindLong(name, word);
        if (!spec.TakesValue)
        {
            return equals < 0
                ? new ParsedOption(spec.Key, "")
                : throw new UsageException($"option '--{spec.Name}' doesn't allow an argument", isFromGetOpt: true);
        }

        if (equals >= 0)
        {
            return new ParsedOption(spec.Key, word[(equals + 1)..]);
        }

        return _next < _args.Count
            ? new ParsedOption(spec.Key, _args[_next++])
            : throw new UsageException($"option '--{spec.Name}' requires an argument", isFromGetOpt: true);
    }

    private OptionSpec FindLong(string name, string word)
    {
        var begins = new List<OptionSpec>();
        foreach (var spec in _specs)
        {
            if (spec.Name.Length != 0 && spec.Name == name)
            {
                return spec;
            }

            if (spec.Name.Length != 0 && spec.Name.StartsWith(name, StringComparison.Ordinal))
            {
                begins.Add(spec);
            }
        }

        if (begins.Count == 0)
        {
            throw new UsageException($"unrecognized option '--{name}'", isFromGetOpt: true);
        }

        if (begins.TrueForAll(s => s.Key == begins[0].Key))
        {
            return begins[0];
        }

        string choices = string.Join(" ", begins.Select(s => $"'--{s.Name}'"));
        throw new UsageException($"option '--{word}' is ambiguous; possibilities: {choices}", isFromGetOpt: true);
    }
}
