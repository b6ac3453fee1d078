using System.Globalization;
using System.Text;

namespace Paddock.Cli.Native.Watch;

/// <summary>Turns frames into what a terminal has to be sent: only the cells that differ from the frame before.</summary>
/// <param name="depth">The terminal's colours.</param>
internal sealed class FrameWriter(ColorDepth depth)
{
    private const int MaxRepeat = 5;

    private readonly StringBuilder _out = new();
    private Frame? _before;

    /// <summary>Forgets what the terminal shows: the next frame is written whole.</summary>
    public void Forget() => _before = null;

    /// <summary>The text that turns the frame before into this one; empty if they are equal.</summary>
    public string Write(Frame frame)
    {
        _out.Clear();
        if (_before is { } before && (before.Width != frame.Width || before.Height != frame.Height))
        {
            _before = null;
        }

        if (_before is null)
        {
            _out.Append("\u001b[0m\u001b[2J");
        }

        Style? style = null;
        (int X, int Y)? cursor = null;
        for (int y = 0; y < frame.Height; y++)
        {
            for (int x = 0; x < frame.Width; x++)
            {
                var cell = frame[x, y];
                if (_before is null ? cell == (' ', Style.Plain) : cell == _before[x, y])
                {
                    continue;
                }

                if (cursor is { } at && at.Y == y && x > at.X && x - at.X <= MaxRepeat && IsStyled(frame, at.X, x, y, style))
                {
                    // a few characters that are there already take fewer bytes than a move over them
                    for (int between = at.X; between < x; between++)
                    {
                        _out.Append(frame[between, y].Char);
                    }
                }
                else if (cursor != (x, y))
                {
                    _out.Append(CultureInfo.InvariantCulture, $"\u001b[{y + 1};{x + 1}H");
                }

                if (style != cell.Style)
                {
                    _out.Append(cell.Style.Sequence(depth));
                    style = cell.Style;
                }

                _out.Append(cell.Char);

                // terminals differ in where the cursor is after the last column
                cursor = x + 1 < frame.Width ? (x + 1, y) : null;
            }
        }

        _before = frame;
        return style is null && _out.Length == 0 ? "" : _out.Append(ZonePalette.Reset).ToString();
    }

    private static bool IsStyled(Frame frame, int from, int to, int y, Style? style)
    {
        for (int x = from; x < to; x++)
        {
            if (frame[x, y].Style != style)
            {
                return false;
            }
        }

        return true;
    }
}
