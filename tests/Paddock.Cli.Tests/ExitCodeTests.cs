using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Tests;

/// <summary>
/// One rule for every verb, from the command tree: 64 for a command line that is wrong whatever the disk, 1 for what fails, 0 for help.
/// </summary>
public class ExitCodeTests
{
    public static TheoryData<string> Verbs => [.. Workbench.Commands().Where(static c => c.Length > 0)];

    [Theory]
    [MemberData(nameof(Verbs))]
    public async Task Unknown_option_is_a_usage_error_that_names_it(string verb)
    {
        using var bench = new Workbench();
        string error = await bench.RefusedAsync($"{verb} {Operands(verb)} --no-such-option", code: NativeExit.Usage);
        Assert.Contains("'--no-such-option'", error, StringComparison.Ordinal);
        Assert.Contains("--help", error, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public async Task Missing_and_surplus_words_are_usage_errors(string verb)
    {
        using var bench = new Workbench();
        var command = Find(verb);
        if (command.Subcommands.Count > 0 && command.Arguments.Count == 0)
        {
            Assert.Contains("the command is missing", await bench.RefusedAsync(verb, code: NativeExit.Usage), StringComparison.Ordinal);
            return;
        }

        if (command.Arguments.Any(static a => a.Arity.MinimumNumberOfValues > 0))
        {
            Assert.Contains("missing ", await bench.RefusedAsync(verb, code: NativeExit.Usage), StringComparison.Ordinal);
        }

        if (command.Arguments.All(static a => a.Arity.MaximumNumberOfValues == 1))
        {
            string error = await bench.RefusedAsync($"{verb} {Operands(verb)} surplus", code: NativeExit.Usage);
            Assert.Contains("unexpected argument 'surplus'", error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public async Task Wrong_value_of_an_option_is_a_usage_error_that_names_the_option(string verb)
    {
        using var bench = new Workbench();
        foreach (var option in Find(verb).Options.Where(IsTyped))
        {
            string error = await bench.RefusedAsync($"{verb} {Operands(verb)} {option.Name} ?", code: NativeExit.Usage);
            Assert.Contains($"{option.Name} '?'", error, StringComparison.Ordinal);
            Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
        }

        foreach (var option in Find(verb).Options.Where(static o => o.Arity.MinimumNumberOfValues > 0))
        {
            string error = await bench.RefusedAsync($"{verb} {Operands(verb)} {option.Name}", code: NativeExit.Usage);
            Assert.Contains($"option {option.Name} requires a value", error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("info")]
    [InlineData("zones")]
    [InlineData("check")]
    [InlineData("read")]
    [InlineData("append")]
    [InlineData("zone reset")]
    [InlineData("zone offline")]
    [InlineData("clone")]
    [InlineData("backup")]
    [InlineData("snapshot list")]
    [InlineData("bench")]
    public async Task Missing_file_is_a_failure_that_names_it(string verb)
    {
        using var bench = new Workbench();
        string rest = verb switch
        {
            "read" or "append" or "zone reset" or "zone offline" => "1", "clone" or "backup" => "other.qcow2", _ => "",
        };
        Assert.Contains(bench["none.qcow2"], await bench.RefusedAsync($"{verb} none.qcow2 {rest}"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public async Task Help_succeeds(string verb)
    {
        using var bench = new Workbench();
        Assert.Contains("Usage:", (await bench.MustAsync($"{verb} --help")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public void Verb_with_a_result_has_it_as_JSON(string verb)
    {
        // these print text for people, a script, or the data of a zone; 'run' ends with the result of its command
        string[] without = ["demo", "completion", "help", "read", "run"];
        var command = Find(verb);
        bool isGroup = command.Subcommands.Count > 0 && command.Arguments.Count == 0;
        Assert.Equal(!isGroup && !without.Contains(verb), command.Options.Any(static o => o.Name == "--json"));
    }

    [Theory]
    [MemberData(nameof(Verbs))]
    public void JSON_of_every_verb_is_documented(string verb)
    {
        if (Find(verb).Options.Any(static o => o.Name == "--json"))
        {
            string text = File.ReadAllText(Path.Combine(ProcessTests.Root(), "docs/json.md"));
            Assert.Matches($@"`paddock ({verb}|{verb.Split(' ')[0]} [A-Z]+)\b[^`]*--json`", text);
        }
    }

    private static bool IsTyped(Option option) => option.Arity.MinimumNumberOfValues > 0
        && (option.ValueType == typeof(int?) || option.ValueType == typeof(int) || option.ValueType == typeof(uint?)
            || option.ValueType == typeof(double?) || option.HelpName == "SIZE");

    private static Command Find(string verb)
    {
        Command command = CommandTree.Build(new NativeConsole(Stream.Null, Stream.Null, Stream.Null));
        foreach (string word in verb.Split(' '))
        {
            command = command.Subcommands.Single(c => c.Name == word);
        }

        return command;
    }

    // words that parse; they are not looked at when another word is wrong
    private static string Operands(string verb) => string.Join(' ', Find(verb).Arguments
        .Where(static a => a.Arity.MinimumNumberOfValues > 0 || a.Name == "IMAGE")
        .Select(static a => a.ValueType == typeof(int) ? "1" : a.Name switch
        {
            "SIZE" => "1M", "ZONES" => "1", "SHELL" => "bash", "ACTION [IMAGE] [NAME]" => "list z", "[IMAGE] SIZE" => "1M", _ => "z",
        }));
}
