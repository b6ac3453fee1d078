using System.CommandLine;
using System.CommandLine.Parsing;

namespace Paddock.Cli.Verbs;

/// <summary>Options and arguments with a fixed set of values.</summary>
internal static class Choices
{
    public static Option<T> OneOf<T>(this Option<T> option, params string[] values)
    {
        option.CompletionSources.Add(values);
        option.Validators.Add(result => Check(result, option.Name, result.Tokens, values));
        return option;
    }

    public static Argument<T> OneOf<T>(this Argument<T> argument, params string[] values)
    {
        argument.CompletionSources.Add(values);
        argument.Validators.Add(result => Check(result, argument.Name, result.Tokens, values));
        return argument;
    }

    private static void Check(SymbolResult result, string name, IReadOnlyList<Token> tokens, string[] values)
    {
        if (tokens.FirstOrDefault(t => !values.Contains(t.Value)) is { } unknown)
        {
            result.AddError($"{name} '{unknown.Value}': expected one of {string.Join(", ", values)}");
        }
    }
}
