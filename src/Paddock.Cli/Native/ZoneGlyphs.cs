using System.Text;
using Paddock.Block;

namespace Paddock.Cli.Native;

/// <summary>
/// Draws cells. With colour and block characters the colour is the condition and the height how far the zone is written; a full zone is
/// narrower than its cell, so that neighbours do not become one bar. Elsewhere a letter is the condition.
/// </summary>
/// <param name="Colors">The colours.</param>
/// <param name="Blocks">Whether block characters may be printed.</param>
internal readonly record struct ZoneGlyphs(ColorDepth Colors, bool Blocks)
{
    /// <summary>Cells between two gaps in a row.</summary>
    public const int Group = 8;

    private const string Levels = "▁▂▃▄▅▆▇";
    private const char FullBlock = '▉';

    /// <summary>Columns of a row with a gap after each group of cells.</summary>
    public static int Columns(int cells) => cells + ((cells - 1) / Group);

    /// <summary>The character for a cell; a letter without colour, since a height alone does not show the condition.</summary>
    public char Of(ZoneCell cell)
    {
        if (cell.Zones == 0)
        {
            return ' ';
        }

        bool letter = Colors == ColorDepth.None || !Blocks || cell.Capacity == 0
            || cell.Condition is ZoneCondition.Empty or ZoneCondition.NotWritePointer or ZoneCondition.Offline;
        return letter ? ZoneNames.Letter(cell.Condition)
            : cell.Written >= cell.Capacity ? FullBlock
            : Levels[(int)Math.Clamp((double)cell.Written * Levels.Length / cell.Capacity, 0, Levels.Length - 1)];
    }

    /// <summary>Appends cells, with a colour where it changes.</summary>
    /// <param name="to">Receives the text.</param>
    /// <param name="cells">The cells.</param>
    /// <param name="grouped">Whether a gap follows each group.</param>
    public void AppendRow(StringBuilder to, ReadOnlySpan<ZoneCell> cells, bool grouped)
    {
        string colour = "";
        for (int i = 0; i < cells.Length; i++)
        {
            if (grouped && i > 0 && i % Group == 0)
            {
                to.Append(' ');
            }

            if (cells[i].Zones > 0 && ZonePalette.Start(cells[i].Condition, Colors) is var next && next != colour)
            {
                to.Append(next);
                colour = next;
            }

            to.Append(Of(cells[i]));
        }

        to.Append(colour.Length > 0 ? ZonePalette.Reset : "");
    }

    /// <summary>The sample of a condition in a legend.</summary>
    public string Sample(ZoneCondition condition)
    {
        var text = new StringBuilder();
        bool isPartial = ZoneNames.IsActive(condition);
        AppendRow(text, [new ZoneCell(1, condition, 1, isPartial ? 2 : 1)], grouped: false);
        return text.ToString();
    }
}
