using AngleSharp.Html.Parser;

namespace Paddock.Docs.Site;

/// <summary>Checks that links, anchors and pictures of a built site exist.</summary>
internal static class SiteLinks
{
    /// <summary>Links of all pages whose target is missing, as <c>PAGE: TARGET</c>.</summary>
    public static IReadOnlyList<string> Broken(string folder)
    {
        var parser = new HtmlParser();
        var pages = Directory.EnumerateFiles(folder, "*.html", SearchOption.AllDirectories).ToDictionary(
            Path.GetFullPath, file => parser.ParseDocument(File.ReadAllText(file)));
        var anchors = pages.ToDictionary(
            p => p.Key, p => p.Value.QuerySelectorAll("[id], a[name]").Select(e => e.Id ?? e.GetAttribute("name")!).ToHashSet());
        return [.. from page in pages
                   from element in page.Value.QuerySelectorAll("a[href], img[src], link[href], script[src]")
                   let target = element.GetAttribute("href") ?? element.GetAttribute("src")!
                   where IsBroken(page.Key, target)
                   select $"{Path.GetRelativePath(folder, page.Key)}: {target}"];

        bool IsBroken(string page, string target)
        {
            if (target.Contains(':', StringComparison.Ordinal) || target.StartsWith("//", StringComparison.Ordinal))
            {
                // another site
                return false;
            }

            string[] parts = target.Split('#', 2);
            string name = Uri.UnescapeDataString(parts[0].Split('?')[0]);
            string file = name.Length == 0 ? page : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(page)!, name));
            file = Directory.Exists(file) ? Path.Combine(file, "index.html") : file;
            return !File.Exists(file) || (parts.Length == 2 && parts[1].Length > 0 && anchors.TryGetValue(file, out var known)
                && !known.Contains(Uri.UnescapeDataString(parts[1])));
        }
    }
}
