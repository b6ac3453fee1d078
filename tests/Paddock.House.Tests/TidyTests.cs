using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>Code stays small enough to read, and finished.</summary>
public partial class TidyTests
{
    private const int MaxLine = 140;
    private const int MaxFile = 800;
    private const int MaxMedianFile = 170;
    private const int MaxFunction = 80;

    private static IEnumerable<string> Code
        => Repository.Sources("src").Concat(Repository.Sources("tests")).Concat(Repository.Sources("bench"));

    [Fact]
    public void No_line_is_over_140_characters()
        => Repository.AssertNone(
            from file in Code
            from line in Repository.Lines(file).Index()
            where line.Item.Length > MaxLine
            select $"{file}:{line.Index + 1}");

    [Fact]
    public void No_file_is_over_800_lines_and_the_median_is_small()
    {
        Repository.AssertNone(Code.Where(f => Repository.Lines(f).Length > MaxFile));
        int[] lengths = [.. Repository.Sources("src").Select(f => Repository.Lines(f).Length).Order()];
        Assert.InRange(lengths[lengths.Length / 2], 1, MaxMedianFile);
    }

    [Fact]
    public void No_function_is_over_80_lines()
        => Repository.AssertNone(Code.SelectMany(LongFunctions));

    [Fact]
    public void Nothing_is_left_unfinished()
        => Repository.AssertNone(
            from file in Repository.Sources("src")
            from line in Repository.Lines(file).Index()
            where Unfinished().IsMatch(line.Item)
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}");

    [Fact]
    public void No_test_is_switched_off()
        => Repository.AssertNone(
            from file in Repository.Sources("tests")
            from line in Repository.Lines(file).Index()
            where SwitchedOff().IsMatch(line.Item)
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}");

    [Fact]
    public void No_test_asserts_how_long_something_takes()
        => Repository.AssertNone(
            from file in Repository.Sources("tests")
            where file.Contains(".Tests", StringComparison.Ordinal)
            from line in Repository.Lines(file).Index()
            where line.Item.Contains("Stop" + "watch.", StringComparison.Ordinal)
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}");

    [Fact]
    public void Banned_calls_are_not_made_behind_the_analyzer()
        => Repository.AssertNone(
            from file in Code
            from line in Repository.Lines(file).Index()
            where BannedCall().IsMatch(line.Item) || line.Item.Contains("#pragma warning disable " + "RS0030", StringComparison.Ordinal)
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}");

    [Fact]
    public void No_placeholder_is_left()
        => Repository.AssertNone(Code.Where(f => Path.GetFileName(f) is "Placeholder.cs" or "SmokeTests.cs" or "Class1.cs"));

    // a member's body opens and closes at a brace of four spaces' indent (eight in a nested type): .editorconfig sees to that
    private static IEnumerable<string> LongFunctions(string file)
    {
        string[] lines = Repository.Lines(file);
        for (int at = 1; at < lines.Length; at++)
        {
            string indent = lines[at] switch { "    {" => "    ", "        {" => "        ", _ => "" };
            if (indent.Length == 0 || IsType(lines, at))
            {
                continue;
            }

            int end = Array.FindIndex(lines, at, l => l.StartsWith(indent + "}", StringComparison.Ordinal));
            if (end - at > MaxFunction)
            {
                yield return $"{file}:{at}: {end - at} lines";
            }
        }
    }

    private static bool IsType(string[] lines, int brace)
    {
        for (int at = brace - 1; at >= 0 && lines[at].Trim().Length > 0; at--)
        {
            if (TypeHead().IsMatch(lines[at]))
            {
                return true;
            }

            if (lines[at].EndsWith(';') || lines[at].EndsWith('}') || lines[at].EndsWith('{'))
            {
                return false;
            }
        }

        return false;
    }

    [GeneratedRegex(@"NotImplementedException|\b(TODO|FIXME|HACK|XXX)\b|\bSkip\s*=\s*""")]
    private static partial Regex Unfinished();

    [GeneratedRegex(@"\[(?:Fact|Theory)\(.*\bSkip\s*=\s*""")]
    private static partial Regex SwitchedOff();

    [GeneratedRegex(@"\bDateTime\.(Now|UtcNow)\b|\bRandom\.Shared\b|\bnew Random\(\)|\bGC\.Collect\(|\bThread\.Sleep\(")]
    private static partial Regex BannedCall();

    [GeneratedRegex(@"\b(class|struct|interface|enum|record)\b")]
    private static partial Regex TypeHead();
}
