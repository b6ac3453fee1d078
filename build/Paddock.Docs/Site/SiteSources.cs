using System.Text.RegularExpressions;
using Paddock.Docs.Reference;

namespace Paddock.Docs.Site;

/// <summary>
/// Puts the sources of the site into a folder: the documents in the layout of the repository, so that their links stay right, the generated
/// reference, charts, and the settings of docfx.
/// </summary>
internal sealed partial class SiteSources(string root, string folder)
{
    private static readonly string[] TopPages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

    /// <summary>Writes all sources.</summary>
    public void Write()
    {
        foreach (string name in new[] { "docfx.json", "toc.yml" })
        {
            Copy(Path.Combine(root, "build/Paddock.Docs/Site", name), name);
        }

        foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "docs"), "*", SearchOption.AllDirectories)
            .Where(f => Path.GetExtension(f) is ".md" or ".svg" or ".png" or ".yml"))
        {
            Copy(file, Path.GetRelativePath(root, file));
        }

        foreach (string page in TopPages)
        {
            Copy(Path.Combine(root, page), page == "README.md" ? "index.md" : page);
        }

        string reference = Path.Combine(folder, "docs/reference");
        ReferenceFiles.WriteMarkdown(new VerbPages(new(Path.Combine(root, "docs/reference"))).All(), reference);
        foreach (string library in Directory.EnumerateFiles(AppContext.BaseDirectory)
            .Where(f => Path.GetExtension(f) is ".dll" or ".xml"))
        {
            Copy(library, Path.Combine("assemblies", Path.GetFileName(library)));
        }

        string benchmarks = Path.Combine(folder, "docs/benchmarks.md");
        File.WriteAllText(benchmarks, Charts.AddTo(File.ReadAllText(benchmarks), Path.GetDirectoryName(benchmarks)!));
        foreach (string page in Directory.EnumerateFiles(folder, "*.md", SearchOption.AllDirectories))
        {
            File.WriteAllText(page, Adapt(File.ReadAllText(page), Path.GetDirectoryName(page)!));
        }
    }

    private void Copy(string file, string name)
    {
        string target = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(file, target, overwrite: true);
    }

    // links to sources, which the site does not have, become their text; the index is the README
    private string Adapt(string markdown, string page)
        => Link().Replace(markdown, link =>
        {
            string target = link.Groups["target"].Value;
            string path = Path.Combine(page, target.Split('#')[0]);
            return target.Contains("://", StringComparison.Ordinal) || target.StartsWith('#') || File.Exists(path) ? link.Value
                : Path.GetFileName(target) == "README.md" && Path.GetFullPath(path) == Path.Combine(Path.GetFullPath(folder), "README.md")
                    ? link.Value.Replace("README.md", "index.md", StringComparison.Ordinal)
                : link.Groups["text"].Value;
        });

    [GeneratedRegex(@"(?<!!)\[(?<text>[^\]]*)\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();
}
