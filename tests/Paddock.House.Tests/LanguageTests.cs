using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>Everything that people read is plain technical English; words of a former private dialect do not return.</summary>
public partial class LanguageTests
{
    // where a retired word is right: the file, and the text around the word
    private static readonly (string File, string Text)[] Allowed =
    [
        // Python
        ("tests/conformance/run-iotests.sh", "status is None"),

        // a field of the log that scripts depend on
        ("src/Paddock.Server/PaddockServer.cs", "(\"door\", listener)"),
        ("docs/serving.md", "kept for scripts that wait for it"),
        ("CHANGELOG.md", "replaces `door=`"),
        ("CHANGELOG.md", "before `door`"),
        ("CHANGELOG.md", "before `bench/doors`"),
    ];

    [Fact]
    public void No_retired_word_is_used()
        => Repository.AssertNone(
            from file in Texts()
            from line in Repository.Lines(file).Index()
            let match = Retired().Match(Words(line.Item))
            where match.Success && !Allowed.Any(a => a.File == file && line.Item.Contains(a.Text, StringComparison.Ordinal))
            select $"{file}:{line.Index + 1}: {match.Value}: {line.Item.Trim()}");

    [Fact]
    public void Every_exception_is_needed()
        => Repository.AssertNone(Allowed
            .Where(a => !Repository.Lines(a.File).Any(l => l.Contains(a.Text, StringComparison.Ordinal) && Retired().IsMatch(Words(l))))
            .Select(a => $"{a.File}: {a.Text}"));

    [Theory]
    [InlineData("the next " + "door", "door")]
    [InlineData("One_" + "door_leads_to_all", "door")]
    [InlineData("opened " + "anew", "anew")]
    [InlineData("gives the clusters " + "back", "back")]
    [InlineData("it " + "mends the table", "mends")]
    [InlineData("takes qemu-img's " + "words", "words")]
    public void Retired_word_is_found(string line, string word)
        => Assert.EndsWith(word, Retired().Match(Words(line)).Value, StringComparison.Ordinal);

    [Theory]
    [InlineData("recommended")]
    [InlineData("there is none")]
    [InlineData("falls back to a copy")]
    [InlineData("amended")]
    public void Ordinary_word_is_accepted(string line) => Assert.DoesNotMatch(Retired(), Words(line));

    private static IEnumerable<string> Texts()
    {
        string[] folders = ["src", "tests", "bench", "build", "docs", "packaging", "samples", ".github", ".ci"];
        var files = folders.SelectMany(folder => Repository.Files(folder, "*"))
            .Concat(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "test", "paddock"]);
        string[] kinds = ["", ".cs", ".md", ".sh", ".py", ".yml", ".csproj", ".service", ".socket"];
        return files.Where(f => kinds.Contains(Path.GetExtension(f)))
            .Where(f => Path.GetFileName(f) != "LanguageTests.cs");
    }

    // a test's name is a sentence, too
    private static string Words(string line) => line.Replace('_', ' ');

    [GeneratedRegex(
        @"\b(doors?|mend(s|ed|ing)?|anew|of (now|before)|says? so|lets? go|who asks|stands? above|has (a|no) place|no place for"
        + @"|(gives?|gave|given|giving)( (it|them|its|their|the|a|this|that|what)( [\w-]+)?)? back|takes? (the )?[\w'-]+ words"
        + @"|(?<!there )(is|are) none)\b",
        RegexOptions.IgnoreCase)]
    private static partial Regex Retired();
}
