namespace Paddock.Server;

/// <summary>Suggestions for mistyped names.</summary>
public static class Spelling
{
    private const int MaxCompared = 32;

    /// <summary>A suggestion such as <c> (did you mean 'fail'?)</c>; empty if no known name is similar.</summary>
    /// <param name="given">The name as typed.</param>
    /// <param name="known">The valid names.</param>
    public static string Hint(string given, IEnumerable<string> known)
    {
        var (near, distance) = known.Select(k => (k, Distance(given, k))).DefaultIfEmpty(("", int.MaxValue)).MinBy(static p => p.Item2);
        return given.Length > 0 && distance <= (near.Length + 2) / 3 ? $" (did you mean '{near}'?)" : "";
    }

    // Levenshtein distance; names are short
    private static int Distance(string a, string b)
    {
        a = a.Length > MaxCompared ? a[..MaxCompared] : a;
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[b.Length];
    }
}
