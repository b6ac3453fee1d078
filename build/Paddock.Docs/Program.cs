using Paddock.Docs.Reference;

namespace Paddock.Docs;

/// <summary>Makes the generated documentation; see <see cref="Usage"/>.</summary>
internal static class Program
{
    private const string Usage =
        """
        Usage: paddock-docs reference FRAGMENTS OUT         one Markdown page for each verb
               paddock-docs man FRAGMENTS OUT DATE VERSION  one man page for each verb
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
}
