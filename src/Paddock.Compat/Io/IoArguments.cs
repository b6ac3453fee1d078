using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>What is wrong with a command's words; the text, if any, is printed and the command fails.</summary>
/// <param name="text">Printed on standard output.</param>
/// <param name="showUsage">True to print the command's usage.</param>
internal sealed class IoArgumentException(string text, bool showUsage = false) : Exception(text)
{
    public bool ShowUsage => showUsage;
}

/// <summary>A command's options and operands.</summary>
internal sealed class IoArguments
{
    private readonly Dictionary<char, string> _options = [];
    private readonly IReadOnlyList<string> _operands;

    /// <param name="words">The command's words, its name first.</param>
    /// <param name="letters">The options it takes, as getopt has them.</param>
    /// <param name="error">Where getopt's own messages go.</param>
    public IoArguments(IReadOnlyList<string> words, string letters, Action<string> error)
    {
        var parser = new GetOpt([.. words.Skip(1)], GetOpt.FromString(letters), permute: true);
        try
        {
            while (parser.TryNext(out var option))
            {
                _options[option.Key[0]] = option.Value;
            }
        }
        catch (UsageException e)
        {
            error($"{words[0]}: {e.Message}");
            throw new IoArgumentException("", showUsage: true);
        }

        _operands = parser.Operands;
    }

    public int Count => _operands.Count;

    public string this[int index] => _operands[index];

    public bool Has(char option) => _options.ContainsKey(option);

    public string Value(char option) => _options[option];

    /// <summary>An operand as a size.</summary>
    public long Number(int index) => ParseNumber(_operands[index]);

    /// <summary>The pattern byte of -P.</summary>
    public byte Pattern(byte fallback)
    {
        if (!_options.TryGetValue('P', out string? text))
        {
            return fallback;
        }

        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool parsed = hex
            ? int.TryParse(text.AsSpan(2), System.Globalization.NumberStyles.HexNumber, null, out int value)
            : int.TryParse(text, out value);
        return parsed && value is >= 0 and <= 255 ? (byte)value : throw new IoArgumentException($"{text} is not a valid pattern byte\n");
    }

    public static long ParseNumber(string text)
    {
        var fault = SizeParser.TryParse(text, out ulong value);
        return fault == NumberFault.Invalid
            ? throw new IoArgumentException($"Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- {text}\n")
            : fault == NumberFault.OutOfRange || value > long.MaxValue
                ? throw new IoArgumentException($"Parsing error: argument too large -- {text}\n")
                : (long)value;
    }
}
