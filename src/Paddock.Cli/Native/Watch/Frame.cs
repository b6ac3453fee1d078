using System.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>A picture of the screen: a character and a style for each cell.</summary>
internal sealed class Frame
{
    private readonly char[] _chars;
    private readonly Style[] _styles;

    public Frame(int width, int height)
    {
        (Width, Height) = (width, height);
        _chars = new char[width * height];
        _styles = new Style[width * height];
        _chars.AsSpan().Fill(' ');
    }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>Character and style of a cell.</summary>
    public (char Char, Style Style) this[int x, int y] => (_chars[(y * Width) + x], _styles[(y * Width) + x]);

    /// <summary>Sets a cell; nothing happens outside the frame.</summary>
    public void Put(int x, int y, char c, Style style)
    {
        if ((uint)x < (uint)Width && (uint)y < (uint)Height)
        {
            _chars[(y * Width) + x] = IsNarrow(c) ? c : '?';
            _styles[(y * Width) + x] = style;
        }
    }

    /// <summary>Writes text as far as it fits.</summary>
    /// <returns>The column after it.</returns>
    public int Text(int x, int y, string text, Style style = default)
    {
        foreach (char c in text)
        {
            Put(x++, y, c, style);
        }

        return x;
    }

    /// <summary>Writes text that ends before a column.</summary>
    public void TextBefore(int end, int y, string text, Style style = default) => Text(end - text.Length, y, text, style);

    /// <summary>Reverses a cell.</summary>
    public void Mark(int x, int y)
    {
        if ((uint)x < (uint)Width && (uint)y < (uint)Height)
        {
            var style = _styles[(y * Width) + x];
            _styles[(y * Width) + x] = style with { Weight = style.Weight | Weight.Reversed };
        }
    }

    /// <summary>The characters, line by line, without blanks at the ends.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        for (int y = 0; y < Height; y++)
        {
            text.Append(new string(_chars, y * Width, Width).TrimEnd()).Append('\n');
        }

        return text.ToString();
    }

    // wide characters and marks that combine would move the rest of the line; file names may hold any
    private static bool IsNarrow(char c) => c is >= ' ' and <= '~' or >= '\u00a1' and <= '\u02ff' or >= '\u2580' and <= '\u259f';
}
