using System.CommandLine;
using System.CommandLine.Parsing;
using Paddock.Server;

namespace Paddock.Cli;

/// <summary>Explains command lines that cannot be parsed.</summary>
internal static class ParseErrors
{
    // words that people try in place of ours: commands of qemu-img without 'img', actions on zones without 'zone', and synonyms
    private static readonly Dictionary<string, string> Meant = new(StringComparer.Ordinal)
    {
        ["amend"] = "img amend", ["bitmap"] = "img bitmap", ["commit"] = "img commit", ["compare"] = "img compare",
        ["convert"] = "img convert", ["dd"] = "img dd", ["map"] = "img map", ["measure"] = "img measure", ["rebase"] = "img rebase",
        ["open"] = "zone open", ["close"] = "zone close", ["finish"] = "zone finish", ["reset"] = "zone reset",
        ["readonly"] = "zone readonly", ["offline"] = "zone offline", ["restore"] = "zone restore' or 'backup restore",
        ["list"] = "zones' or 'info", ["ls"] = "zones' or 'info", ["show"] = "info", ["inspect"] = "info", ["report"] = "zones",
        ["write"] = "append", ["cat"] = "read", ["dump"] = "read", ["start"] = "serve", ["export"] = "serve", ["connect"] = "discover",
        ["overlay"] = "clone", ["copy"] = "clone' or 'img convert", ["qemu-img"] = "img", ["qemu-io"] = "io", ["qemu-nbd"] = "nbd",
    };

    /// <summary>The first error of a command line, with a reference to the help; null if not found.</summary>
    public static string? Find(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (UnknownOption(parsed) is { } option)
        {
            string[] names = [.. command.Options.Select(o => o.Name).Where(n => n.StartsWith("--", StringComparison.Ordinal))];
            return $"unknown option '{option}'{Spelling.Hint(option, names)}; see '{CommandTree.PathOf(command)} --help'";
        }

        if (parsed.UnmatchedTokens is [var token, ..])
        {
            return Unmatched(parsed, token);
        }

        if (parsed.Errors.Count == 0)
        {
            return null;
        }

        return $"{Missing(parsed) ?? parsed.Errors[^1].Message.TrimEnd('.')}; see '{CommandTree.PathOf(command)} --help'";
    }

    /// <summary>A message about a setting, which begins with its key, in terms of the option if the command line has it.</summary>
    public static string WithOption(ParseResult parsed, string message)
    {
        string name = "--" + message.Split(' ', ':')[0];
        return parsed.CommandResult.Children.OfType<OptionResult>().Any(o => o.Option.Name == name && !o.Implicit)
            ? "--" + message : message;
    }

    // a token that looks like an option but was taken for an argument or for nothing
    private static string? UnknownOption(ParseResult parsed)
    {
        var values = parsed.CommandResult.Children.OfType<OptionResult>().SelectMany(o => o.Tokens).ToList();
        foreach (var token in parsed.Tokens)
        {
            if (token.Type == TokenType.DoubleDash)
            {
                return null;
            }

            if (token.Type == TokenType.Argument && token.Value is ['-', '-' or (>= 'A' and <= 'Z') or (>= 'a' and <= 'z'), ..]
                && !values.Contains(token))
            {
                return token.Value;
            }
        }

        return null;
    }

    private static string Unmatched(ParseResult parsed, string token)
    {
        // the command that was current at the token
        Command command = parsed.RootCommandResult.Command;
        foreach (var known in parsed.Tokens.TakeWhile(t => t.Value != token).Where(t => t.Type == TokenType.Command))
        {
            command = command.Subcommands.FirstOrDefault(c => c.Name == known.Value) ?? command;
        }

        return command.Subcommands.Count == 0 || command.Arguments.Count > 0
            ? $"unexpected argument '{token}'; see '{CommandTree.PathOf(command)} --help'" : Unknown(command, token);
    }

    /// <summary>The message about a word that is no command.</summary>
    /// <param name="command">The command that should have it.</param>
    /// <param name="token">The word.</param>
    public static string Unknown(Command command, string token)
    {
        string path = CommandTree.PathOf(command);
        if (command.Subcommands.Count == 0)
        {
            return $"'{path}' has no command '{token}'; see '{path} --help'";
        }

        string[] names = [.. command.Subcommands.Select(c => c.Name)];
        string hint = command is RootCommand && Meant.TryGetValue(token, out string? meant) ? $" (did you mean '{meant}'?)"
            : Spelling.Hint(token, names);
        return $"unknown command '{token}'{hint}; expected one of {string.Join(", ", names)}; see '{path} --help'";
    }

    private static string? Missing(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (command.Subcommands.Count > 0 && command.Arguments.Count == 0)
        {
            return $"the command is missing; expected one of {string.Join(", ", command.Subcommands.Select(c => c.Name))}";
        }

        if (parsed.CommandResult.Children.OfType<OptionResult>()
            .FirstOrDefault(o => o.Tokens.Count < o.Option.Arity.MinimumNumberOfValues) is { } empty
            && !empty.Implicit)
        {
            return $"option {empty.Option.Name} requires a value";
        }

        string[] missing = [.. command.Arguments
            .Where(a => (parsed.GetResult(a)?.Tokens.Count ?? 0) < a.Arity.MinimumNumberOfValues).Select(a => a.Name)];
        return missing.Length > 0 ? $"missing {string.Join(" and ", missing)}"
            : command.Options.FirstOrDefault(
                o => o.Required && parsed.GetResult(o) is null or { Implicit: true }) is { Required: true } option
                ? $"missing option {option.Name}"
            : null;
    }
}
