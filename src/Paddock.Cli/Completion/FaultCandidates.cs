using Paddock.Cli.Verbs;
using Paddock.Server.Faults;

namespace Paddock.Cli.Completion;

/// <summary>Completes the words of `paddock fault` after the socket.</summary>
internal static class FaultCandidates
{
    /// <summary>Commands, then the options of the command, then the values of an option.</summary>
    /// <param name="operands">The socket and the words after it.</param>
    /// <param name="typed">The beginning of the next word.</param>
    public static IEnumerable<Candidate> At(IReadOnlyList<string> operands, string typed)
    {
        if (operands.Count == 1)
        {
            return FaultSyntax.Commands.Keys.Order().Select(static c => Of(c));
        }

        string[] options = FaultSyntax.Commands.GetValueOrDefault(operands[1], []);
        int equals = typed.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0)
        {
            return options.Select(static o => o + "=").Where(o => !operands.Any(w => w.StartsWith(o, StringComparison.Ordinal))).Select(Of);
        }

        string option = typed[..equals];
        return options.Contains(option) ? Values(option).Select(v => new Candidate($"{option}={v}", "")) : [];
    }

    private static Candidate Of(string word) => new(word, FaultCommand.Meanings.GetValueOrDefault(word, ""));

    private static IEnumerable<string> Values(string option) => option switch
    {
        "command" => FaultSyntax.Operations,
        "error" => FaultSyntax.Errors,
        _ => [],
    };
}
