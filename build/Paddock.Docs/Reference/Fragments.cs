using System.Text.RegularExpressions;

namespace Paddock.Docs.Reference;

/// <summary>
/// Text that is added to the generated pages: <c>docs/reference/paddock-VERB.md</c>, whose sections have the names of a page's.
/// </summary>
internal sealed partial class Fragments(string folder)
{
    /// <summary>Sections that a fragment may have.</summary>
    public static readonly string[] Titles =
        ["Synopsis", "Description", "Options", "Examples", "Exit status", "Environment", "Files", "Notes", "See also"];

    /// <summary>The fragment of a page; one without sections if there is no file.</summary>
    /// <exception cref="InvalidDataException">A section has a name that no page has.</exception>
    public Fragment Of(string name)
    {
        string file = Path.Combine(folder, name + ".md");
        return File.Exists(file) ? Parse(file, File.ReadAllText(file)) : new Fragment(new Dictionary<string, string>());
    }

    private static Fragment Parse(string file, string text)
    {
        Dictionary<string, string> sections = [];
        var headings = Heading().Matches(text).ToList();
        foreach (var (index, heading) in headings.Index())
        {
            string title = heading.Groups[1].Value;
            if (!Titles.Contains(title))
            {
                throw new InvalidDataException($"{file}: section '{title}': expected one of {string.Join(", ", Titles)}");
            }

            int end = index + 1 < headings.Count ? headings[index + 1].Index : text.Length;
            string section = text[(heading.Index + heading.Length)..end].Trim();
            sections[title] = Page().Replace(section, "[$0]($1.md)");
        }

        return new Fragment(sections);
    }

    [GeneratedRegex(@"\b(paddock[a-z-]*)\(1\)")]
    private static partial Regex Page();

    [GeneratedRegex("^## (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();
}

/// <summary>Sections of a fragment.</summary>
internal sealed record Fragment(IReadOnlyDictionary<string, string> Sections)
{
    /// <summary>Markdown of a section; null if the fragment does not have it.</summary>
    public string? Of(string title) => Sections.GetValueOrDefault(title);
}
