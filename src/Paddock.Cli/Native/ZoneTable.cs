using System.Buffers;
using System.Buffers.Text;
using System.Text;
using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>A line for each zone, written as bytes in bounded memory: a million lines are no rarity.</summary>
internal sealed class ZoneTable
{
    private const int FlushAt = 1 << 16;

    private readonly OutputStream _output;
    private readonly ArrayBufferWriter<byte> _buffer = new(FlushAt + 1024);

    private ZoneTable(OutputStream output) => _output = output;

    /// <summary>Writes the table.</summary>
    public static async ValueTask WriteAsync(
        IBlockDevice device, ZoneFilter filter, OutputStream output, CancellationToken cancellationToken)
    {
        var table = new ZoneTable(output);
        table.Text($"{"zone",8} {"start",18} {"length",12} {"capacity",12} {"written",12} {"%",4} {"pointer",18}  condition\n");
        await ZoneSurvey.ForEachAsync(device, filter, table.Row, cancellationToken);
        table.Flush();
    }

    private void Row(int index, ZoneDescriptor zone)
    {
        Number(index, 8, 'D');
        Number(zone.Start, 19, 'x');
        Number(zone.Length, 13, 'D');
        Number(zone.Capacity, 13, 'D');
        if (zone.Type == ZoneType.Conventional)
        {
            Text($"{"-",13}{"-",5}{"-",19}");
        }
        else
        {
            long written = ZoneCell.WrittenIn(zone);
            Number(written, 13, 'D');
            Number(zone.Capacity == 0 ? 0 : (long)(100.0 * written / zone.Capacity), 5, 'D');
            Number(zone.WritePointer, 19, 'x');
        }

        Text("  ");
        Text(ZoneNames.Name(zone.Condition));
        if (zone.HasRandomArea)
        {
            Text(", zrwa");
        }

        Text("\n");
        if (_buffer.WrittenCount >= FlushAt)
        {
            Flush();
        }
    }

    // right-aligned, hexadecimal with 0x
    private void Number(long value, int width, char format)
    {
        Span<byte> digits = stackalloc byte[32];
        Utf8Formatter.TryFormat(value, digits, out int length, format);
        int prefix = format == 'x' ? 2 : 0;
        var to = _buffer.GetSpan(width + length + prefix);
        int padding = Math.Max(0, width - length - prefix);
        to[..padding].Fill((byte)' ');
        "0x"u8[..prefix].CopyTo(to[padding..]);
        digits[..length].CopyTo(to[(padding + prefix)..]);
        _buffer.Advance(padding + prefix + length);
    }

    private void Text(string text)
    {
        int length = Encoding.ASCII.GetBytes(text, _buffer.GetSpan(text.Length));
        _buffer.Advance(length);
    }

    private void Flush()
    {
        _output.ThrowIfFailed();
        _output.Write(_buffer.WrittenSpan);
        _buffer.ResetWrittenCount();
    }
}
