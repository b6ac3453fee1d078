namespace Paddock.Docs.Reference;

/// <summary>A page of the reference, from which the page of the site and the man page are made.</summary>
/// <param name="Name">Name of the man page, such as <c>paddock-serve</c>.</param>
/// <param name="Command">The command as it is typed, such as <c>paddock serve</c>.</param>
/// <param name="Summary">One sentence about the command, as its help has it.</param>
/// <param name="Sections">The sections, in order.</param>
internal sealed record ManualPage(string Name, string Command, string Summary, IReadOnlyList<ManualSection> Sections)
{
    /// <summary>The name of its file on the site.</summary>
    public string File => Name + ".md";

    /// <summary>The page as Markdown, with definition lists for options.</summary>
    public string ToMarkdown()
        => $"# {Command}\n\n{string.Join("\n\n", Sections.Select(s => $"## {s.Title}\n\n{s.Markdown}"))}\n";
}

/// <summary>A section of a page.</summary>
/// <param name="Title">Its heading, such as <c>Options</c>.</param>
/// <param name="Markdown">Its text; subsections begin with <c>###</c>.</param>
internal sealed record ManualSection(string Title, string Markdown);
