using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Paddock.Docs.Site;

/// <summary>A character on a terminal, and its colour as SVG knows it.</summary>
internal readonly record struct TerminalCell(Rune Character, string Colour);

/// <summary>What a terminal shows after text with escape sequences: colours, positions, and the erased screen.</summary>
internal sealed partial class TerminalText
{
    /// <summary>The colour of text without one.</summary>
    public const string Foreground = "#d4d4d4";

    // colours 30 to 37, then their bright ones, 90 to 97
    private static readonly string[] Palette =
    [
        "#666666", "#e06c75", "#8cc265", "#d19a66", "#4aa5f0", "#c162de", "#42b3c2", "#d4d4d4",
        "#7f848e", "#ff616e", "#a5e075", "#f0a45d", "#6cb6ff", "#de73ff", "#4cd1e0", "#ffffff",
    ];

    private readonly List<List<TerminalCell>> _rows = [];
    private int _row;
    private int _column;
    private string _colour = Foreground;

    /// <summary>Reads text; sequences of other kinds have no effect, and the end of the alternate screen ends it.</summary>
    public TerminalText(string text)
    {
        int start = 0;
        foreach (Match escape in Escape().Matches(text))
        {
            Print(text[start..escape.Index]);
            start = escape.Index + escape.Length;
            if (escape.Value == "\u001b[?1049l")
            {
                return;
            }

            Apply(escape.Groups["numbers"].Value, escape.Groups["kind"].Value);
        }

        Print(text[start..]);
    }

    /// <summary>The rows, without blanks at their ends and without empty rows at the end.</summary>
    public IReadOnlyList<IReadOnlyList<TerminalCell>> Rows
        => [.. _rows.Take(_rows.FindLastIndex(r => Length(r) > 0) + 1).Select(r => r[..Length(r)])];

    private static int Length(List<TerminalCell> row) => row.FindLastIndex(c => c.Character.Value != ' ') + 1;

    private void Print(string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value is '\n' or '\r')
            {
                (_row, _column) = (_row + (rune.Value == '\n' ? 1 : 0), 0);
                continue;
            }

            while (_rows.Count <= _row)
            {
                _rows.Add([]);
            }

            while (_rows[_row].Count <= _column)
            {
                _rows[_row].Add(new(new(' '), Foreground));
            }

            _rows[_row][_column++] = new(rune, _colour);
        }
    }

    private void Apply(string text, string kind)
    {
        int[] numbers = [.. text.Split(';').Select(n => int.TryParse(n, CultureInfo.InvariantCulture, out int number) ? number : 0)];
        switch (kind)
        {
            case "m":
                _colour = Colour(numbers);
                break;
            case "H":
                (_row, _column) = (Math.Max(numbers[0], 1) - 1, numbers.Length > 1 ? Math.Max(numbers[1], 1) - 1 : 0);
                break;
            case "J":
                _rows.Clear();
                break;
        }
    }

    private string Colour(ReadOnlySpan<int> codes)
    {
        string colour = _colour;
        for (int i = 0; i < codes.Length; i++)
        {
            switch (codes[i])
            {
                case 0 or 39:
                    colour = Foreground;
                    break;
                case >= 30 and <= 37:
                    colour = Palette[codes[i] - 30];
                    break;
                case >= 90 and <= 97:
                    colour = Palette[codes[i] - 90 + 8];
                    break;
                case 38 when codes[i..] is [_, 5, var index, ..]:
                    (colour, i) = (Indexed(index), i + 2);
                    break;
                case 38 when codes[i..] is [_, 2, var red, var green, var blue, ..]:
                    (colour, i) = ($"#{red:x2}{green:x2}{blue:x2}", i + 4);
                    break;
            }
        }

        return colour;
    }

    // the cube of 6 x 6 x 6 colours and the greys of a terminal with 256 colours
    private static string Indexed(int index)
    {
        if (index < 16)
        {
            return Palette[index];
        }

        int grey = 8 + ((index - 232) * 10), cube = index - 16;
        return index >= 232 ? $"#{grey:x2}{grey:x2}{grey:x2}" : $"#{Level(cube / 36):x2}{Level(cube / 6 % 6):x2}{Level(cube % 6):x2}";

        static int Level(int step) => step == 0 ? 0 : 55 + (step * 40);
    }

    [GeneratedRegex("\u001b\\[\\??(?<numbers>[0-9;]*)(?<kind>[A-Za-z])|\u001b[=>()][0B]?")]
    private static partial Regex Escape();
}
