using System.CommandLine;
using System.CommandLine.Parsing;

namespace Paddock.Cli.Verbs;

/// <summary>Splits a command line at <c>--</c>: the parser counts the words after it as arguments too.</summary>
internal static class CaptiveWords
{
    /// <summary>The words after <c>--</c>; empty without it.</summary>
    public static string[] CommandOf(ParseResult parsed)
        => [.. parsed.Tokens.SkipWhile(t => t.Type != TokenType.DoubleDash).Skip(1).Select(t => t.Value)];

    /// <summary>The arguments before <c>--</c>.</summary>
    public static string[] ArgumentsOf(ParseResult parsed, Argument<string[]> all)
        => (parsed.GetValue(all) ?? [])[..^CommandOf(parsed).Length];
}
