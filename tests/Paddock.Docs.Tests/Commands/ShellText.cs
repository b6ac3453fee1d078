using System.Text;

namespace Paddock.Docs.Tests.Commands;

/// <summary>
/// The simple commands of a shell script, as far as documents use the shell: quotes, comments, pipes, lists and redirections.
/// </summary>
internal static class ShellText
{
    /// <summary>Words of each simple command; variables and globs stay as they are written.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> Commands(string script)
    {
        List<IReadOnlyList<string>> commands = [];
        List<string> words = [];
        bool isTarget = false;
        foreach (var (word, isOperator) in Tokens(script.Replace("\\\n", " ", StringComparison.Ordinal)))
        {
            if (isOperator && word is ">" or ">>" or "<" or "<<<")
            {
                isTarget = true;
            }
            else if (isOperator)
            {
                End();
            }
            else if (isTarget)
            {
                isTarget = false;
            }
            else
            {
                words.Add(word);
            }
        }

        End();
        return commands;

        void End()
        {
            if (words.Count > 0)
            {
                commands.Add(words);
                words = [];
            }
        }
    }

    /// <summary>Arguments of each paddock command, also behind <c>sudo</c>, assignments and the <c>--</c> of another command.</summary>
    public static IEnumerable<string[]> PaddockArguments(string script)
        => from words in Commands(script)
           let first = words.TakeWhile(w => w == "sudo" || (w.Contains('=', StringComparison.Ordinal) && !w.StartsWith('-'))).Count()
           from index in Enumerable.Range(0, words.Count)
           where words[index] is "paddock" or "./paddock" && (index == first || words[index - 1] == "--")
           select words.Skip(index + 1).ToArray();

    private static IEnumerable<(string Text, bool IsOperator)> Tokens(string script)
    {
        const string Operators = "|&;<>()\n";
        var word = new StringBuilder();
        bool hasWord = false;
        for (int i = 0; i < script.Length; i++)
        {
            char c = script[i];
            if (c is '\'' or '"')
            {
                int end = script.IndexOf(c, i + 1);
                end = end < 0 ? script.Length : end;
                word.Append(script, i + 1, end - i - 1);
                (hasWord, i) = (true, end);
            }
            else if (c == '#' && !hasWord)
            {
                int end = script.IndexOf('\n', i);
                i = end < 0 ? script.Length : end - 1;
            }
            else if (c == '$' && i + 1 < script.Length && script[i + 1] == '(')
            {
                // a command in a command is one of its own
                yield return (";", true);
                (hasWord, i) = (false, i + 1);
                word.Clear();
            }
            else if (Operators.Contains(c) || c == ' ')
            {
                // the number of a file descriptor belongs to the operator
                if (hasWord && !(c is '<' or '>' && word.ToString() is "1" or "2" or "3"))
                {
                    yield return (word.ToString(), false);
                }

                (hasWord, _) = (false, word.Clear());
                if (c != ' ')
                {
                    yield return (c.ToString(), true);
                }
            }
            else
            {
                word.Append(c);
                hasWord = true;
            }
        }

        if (hasWord)
        {
            yield return (word.ToString(), false);
        }
    }
}
