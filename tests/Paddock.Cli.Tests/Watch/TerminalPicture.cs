using System.Globalization;
using Paddock.Cli.Native.Watch;

namespace Paddock.Cli.Tests.Watch;

/// <summary>The screen of a terminal that knows the few escape sequences which views use, and rejects all others.</summary>
internal sealed class TerminalPicture(int width, int height)
{
    private readonly char[] _chars = [.. Enumerable.Repeat(' ', width * height)];
    private readonly string[] _styles = [.. Enumerable.Repeat("0", width * height)];
    private int _x, _y;
    private string _style = "0";

    /// <summary>The characters, line by line, without blanks at the ends.</summary>
    public string Text => string.Concat(
        Enumerable.Range(0, height).Select(y => new string(_chars, y * width, width).TrimEnd() + "\n"));

    /// <summary>Style of a cell: the parameters of all sequences since the last reset.</summary>
    public string StyleAt(int x, int y) => _styles[(y * width) + x];

    /// <summary>Applies what is sent to the terminal.</summary>
    public void Apply(string sent)
    {
        for (int at = 0; at < sent.Length; at++)
        {
            if (sent[at] != '\u001b')
            {
                Assert.True(_x < width && _y < height, "text beyond the screen");
                (_chars[(_y * width) + _x], _styles[(_y * width) + _x]) = (sent[at], _style);
                _x++;
                continue;
            }

            int end = at + 2;
            while (!char.IsAsciiLetter(sent[end]))
            {
                end++;
            }

            Sequence(sent[(at + 2)..end], sent[end]);
            at = end;
        }
    }

    private void Sequence(string parameters, char kind)
    {
        switch (kind)
        {
            case 'm':
                _style = parameters.StartsWith('0') ? parameters : _style + " " + parameters;
                break;
            case 'J':
                _chars.AsSpan().Fill(' ');
                _styles.AsSpan().Fill("0");
                break;
            case 'H':
                int[] place = [.. parameters.Split(';').Select(p => int.Parse(p, CultureInfo.InvariantCulture))];
                (_x, _y) = (place[1] - 1, place[0] - 1);
                break;
            default:
                Assert.Fail($"a terminal may not know the sequence {parameters}{kind}");
                break;
        }
    }
}
