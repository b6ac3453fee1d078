using System.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>Keys of the view.</summary>
internal enum Key
{
    /// <summary>Ends the view.</summary>
    Quit,

    /// <summary>Shows or hides the keys.</summary>
    Help,

    /// <summary>Stops the view, or lets it continue.</summary>
    Pause,

    /// <summary>Selects the next filter.</summary>
    Filter,

    /// <summary>Shows all zones.</summary>
    Unfilter,

    /// <summary>Shows the map.</summary>
    Map,

    /// <summary>Shows the list, or selects its next order.</summary>
    Sort,

    /// <summary>Zooms in.</summary>
    In,

    /// <summary>Zooms out.</summary>
    Out,

    /// <summary>Moves the cursor.</summary>
    Left,

    /// <summary>Moves the cursor.</summary>
    Right,

    /// <summary>Moves the cursor.</summary>
    Up,

    /// <summary>Moves the cursor.</summary>
    Down,

    /// <summary>Moves the cursor by a page.</summary>
    PageUp,

    /// <summary>Moves the cursor by a page.</summary>
    PageDown,

    /// <summary>Moves the cursor to the first zone.</summary>
    Home,

    /// <summary>Moves the cursor to the last zone.</summary>
    End,
}

/// <summary>Keys from the bytes that a terminal sends.</summary>
internal static class Keys
{
    private static readonly (string Bytes, Key Key)[] Sequences =
    [
        ("[A", Key.Up), ("[B", Key.Down), ("[C", Key.Right), ("[D", Key.Left), ("[H", Key.Home), ("[F", Key.End), ("OA", Key.Up),
        ("OB", Key.Down), ("OC", Key.Right), ("OD", Key.Left), ("OH", Key.Home), ("OF", Key.End), ("[1~", Key.Home), ("[4~", Key.End),
        ("[5~", Key.PageUp), ("[6~", Key.PageDown),
    ];

    /// <summary>The keys in what was read at once; unknown bytes and sequences are ignored.</summary>
    public static IEnumerable<Key> Parse(byte[] bytes)
    {
        string text = Encoding.Latin1.GetString(bytes);
        for (int at = 0; at < text.Length; at++)
        {
            if (text[at] == '\u001b' && at + 1 < text.Length && text[at + 1] is '[' or 'O')
            {
                int end = at + 2;
                while (end < text.Length && text[end] is (>= '0' and <= '9') or ';')
                {
                    end++;
                }

                string sequence = text[(at + 1)..Math.Min(end + 1, text.Length)];
                foreach (var (known, key) in Sequences)
                {
                    if (known == sequence)
                    {
                        yield return key;
                    }
                }

                at = end;
            }
            else if (Of(text[at]) is { } key)
            {
                yield return key;
            }
        }
    }

    private static Key? Of(char c) => c switch
    {
        'q' or 'Q' or '\u0003' => Key.Quit,
        '?' or 'h' => Key.Help,
        ' ' or 'p' => Key.Pause,
        'f' => Key.Filter,
        'F' => Key.Unfilter,
        'm' => Key.Map,
        's' => Key.Sort,
        '\r' or '\n' or 'z' or '+' => Key.In,
        '\u001b' or '\b' or '\u007f' or 'Z' or '-' => Key.Out,
        'l' => Key.Right,
        'k' => Key.Up,
        'j' => Key.Down,
        _ => null,
    };
}
