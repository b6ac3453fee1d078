using System.Text;

namespace Paddock.Docs.Reference;

/// <summary>Writes the pages of the reference.</summary>
internal static class ReferenceFiles
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>Writes the pages of the site, with an index and a table of contents.</summary>
    public static void WriteMarkdown(IReadOnlyList<ManualPage> pages, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var page in pages)
        {
            File.WriteAllText(Path.Combine(folder, page.File), page.ToMarkdown(), Utf8);
        }

        var toc = pages.Select(p => $"- name: {p.Command}\n  href: {p.File}\n");
        File.WriteAllText(Path.Combine(folder, "toc.yml"), string.Concat(toc), Utf8);
    }

    /// <summary>Writes the man pages.</summary>
    /// <param name="pages">The pages.</param>
    /// <param name="folder">Folder of the files.</param>
    /// <param name="date">Date in the footer, <c>YYYY-MM-DD</c>.</param>
    /// <param name="version">Version in the footer.</param>
    public static void WriteMan(IReadOnlyList<ManualPage> pages, string folder, string date, string version)
    {
        Directory.CreateDirectory(folder);
        foreach (var page in pages)
        {
            File.WriteAllText(Path.Combine(folder, page.Name + ".1"), new ManPage(page, date, version).ToRoff(), Utf8);
        }
    }
}
