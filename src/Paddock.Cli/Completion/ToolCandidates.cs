using System.Text.RegularExpressions;
using Paddock.Compat;

namespace Paddock.Cli.Completion;

/// <summary>Completes the command lines of the compatible tools, from what their help says.</summary>
internal static partial class ToolCandidates
{
    /// <summary>Commands of `paddock img`, and options of a command or of another tool.</summary>
    /// <param name="tool"><c>img</c>, <c>io</c> or <c>nbd</c>.</param>
    /// <param name="words">The words after it; the last is being typed.</param>
    public static async ValueTask<IReadOnlyList<Candidate>> FindAsync(string tool, IReadOnlyList<string> words)
    {
        bool isOption = words[^1].StartsWith('-');
        if (tool == "img" && words.Count == 1 && !isOption)
        {
            return [.. CommandLine().Matches(await HelpAsync(tool)).Select(Of)];
        }

        string[] command = tool == "img" && words.Count > 1 ? [words[0]] : [];
        return !isOption ? [] : [.. OptionLine().Matches(await HelpAsync(tool, command)).SelectMany(Options)];
    }

    // long names, since they explain themselves; letters where there is no long name
    private static IEnumerable<Candidate> Options(Match line)
    {
        string[] names = [.. Name().Matches(line.Groups[1].Value).Select(static m => m.Value)];
        return names.Where(n => n.StartsWith("--", StringComparison.Ordinal) || names.Length == 1)
            .Select(n => new Candidate(n, line.Groups[2].Value.Trim()));
    }

    private static Candidate Of(Match line) => new(line.Groups[1].Value, line.Groups[2].Value.Trim().TrimEnd('.'));

    private static async ValueTask<string> HelpAsync(string tool, params string[] command)
    {
        await using var text = new StringWriter();
        var context = new ToolContext { Program = "qemu-" + tool, Out = text, Error = TextWriter.Null };
        await CompatibleTools.RunAsync(tool, [.. command, "--help"], context);
        return text.ToString();
    }

    [GeneratedRegex(@"^  ([a-z]+) {2,}(\S.*)$", RegexOptions.Multiline)]
    private static partial Regex CommandLine();

    [GeneratedRegex(@"^ {2,6}(-\S.*?) +((?<=  ).*)$", RegexOptions.Multiline)]
    private static partial Regex OptionLine();

    [GeneratedRegex(@"(?<![\w-])--?[A-Za-z][\w-]*")]
    private static partial Regex Name();
}
