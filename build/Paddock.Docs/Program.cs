using Paddock.Docs.Reference;
using Paddock.Docs.Site;

namespace Paddock.Docs;

/// <summary>Makes the generated documentation; see <see cref="Usage"/>.</summary>
internal static class Program
{
    private const string Usage =
        """
        Usage: paddock-docs reference FRAGMENTS OUT         one Markdown page for each verb
               paddock-docs man FRAGMENTS OUT DATE VERSION  one man page for each verb
               paddock-docs sources ROOT OUT                sources of the site
               paddock-docs links SITE                      checks the links of the built site
               paddock-docs picture TITLE                   an SVG of the terminal text on standard input
        """;

    private static int Main(string[] args)
    {
        try
        {
            switch (args)
            {
                case ["reference", var fragments, var folder]:
                    ReferenceFiles.WriteMarkdown(new VerbPages(new(fragments)).All(), folder);
                    return 0;
                case ["man", var fragments, var folder, var date, var version]:
                    ReferenceFiles.WriteMan(new VerbPages(new(fragments)).All(), folder, date, version);
                    return 0;
                case ["sources", var root, var folder]:
                    new SiteSources(root, folder).Write();
                    return 0;
                case ["links", var site]:
                    return Report(SiteLinks.Broken(site));
                case ["picture", var title]:
                    Console.Write(TerminalPicture.Draw(title, Console.In.ReadToEnd()));
                    return 0;
                default:
                    Console.Error.WriteLine(Usage);
                    return 64;
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            Console.Error.WriteLine("paddock-docs: " + e.Message);
            return 1;
        }
    }

    private static int Report(IReadOnlyList<string> broken)
    {
        foreach (string link in broken)
        {
            Console.Error.WriteLine("broken link: " + link);
        }

        return broken.Count == 0 ? 0 : 1;
    }
}
