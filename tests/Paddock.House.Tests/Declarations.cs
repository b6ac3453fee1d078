using System.Text.RegularExpressions;

namespace Paddock.House.Tests;

/// <summary>A type as one file declares it: a partial class has one of these per file.</summary>
/// <param name="File">The file, relative to the root.</param>
/// <param name="Project">Its project: "src/Paddock.Block".</param>
/// <param name="Modifiers">"public sealed partial" and the like.</param>
/// <param name="Kind">class, struct, interface, enum or record.</param>
/// <param name="Name">Without type parameters.</param>
/// <param name="Body">Its lines, from the declaration to the closing brace.</param>
/// <param name="Line">Number of its first line.</param>
internal sealed record Declaration(string File, string Project, string Modifiers, string Kind, string Name, string[] Body, int Line)
{
    public bool IsPublic => Modifiers.Contains("public", StringComparison.Ordinal);
}

/// <summary>
/// Finds types by their text. The formatting rules of .editorconfig make it reliable: a type's braces have the indent of its declaration.
/// </summary>
internal static partial class Declarations
{
    /// <summary>The types of a file, nested ones included.</summary>
    public static IEnumerable<Declaration> Of(string file)
    {
        string[] lines = Repository.Lines(file);
        for (int at = 0; at < lines.Length; at++)
        {
            Match head = Head().Match(lines[at]);
            if (head.Success)
            {
                int end = EndOf(lines, at, head.Groups["indent"].Value);
                yield return new Declaration(
                    file, ProjectOf(file), head.Groups["modifiers"].Value, head.Groups["kind"].Value, head.Groups["name"].Value,
                    lines[at..end],
                    at + 1);
            }
        }
    }

    /// <summary>The types that are not nested in another one.</summary>
    public static IEnumerable<Declaration> Outermost(string file) => Of(file).Where(d => !char.IsWhiteSpace(d.Body[0][0]));

    /// <summary>Text without comments and without string literals.</summary>
    public static string CodeOf(string text) => CommentOrString().Replace(text, " ");

    private static string ProjectOf(string file) => string.Join('/', file.Split('/').Take(2));

    // an opening brace at the declaration's indent, then the closing one; a record without a body ends with its semicolon
    private static int EndOf(string[] lines, int start, string indent)
    {
        bool open = false;
        for (int at = start; at < lines.Length; at++)
        {
            open |= lines[at].StartsWith(indent + "{", StringComparison.Ordinal);
            if (open ? lines[at].StartsWith(indent + "}", StringComparison.Ordinal) : lines[at].EndsWith(';'))
            {
                return at + 1;
            }
        }

        return lines.Length;
    }

    [GeneratedRegex(
        @"^(?<indent> *)(?<modifiers>(?:(?:public|internal|private|protected|file|static|sealed|abstract|partial|readonly|unsafe|ref) )*)"
        + @"(?<kind>class|struct|interface|enum|record(?: struct| class)?) (?<name>\w+)")]
    private static partial Regex Head();

    [GeneratedRegex(@"//[^\n]*|""""""[\s\S]*?""""""|@""(?:[^""]|"""")*""|""(?:[^""\\\n]|\\.)*""")]
    private static partial Regex CommentOrString();
}
