using Paddock.Block;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>What `paddock info` shows of a disk that is not a qcow2 image: a raw file, or a disk at a server.</summary>
/// <param name="Name">File or name.</param>
/// <param name="Format"><c>raw</c>, <c>nvme-tcp</c> or <c>nbd</c>.</param>
/// <param name="Device">The disk.</param>
/// <param name="Allocated">Bytes that the file uses; null at a server.</param>
internal sealed record PlainInfo(string Name, string Format, IBlockDevice Device, long? Allocated)
{
    public void Print(bool json, NativeConsole console)
    {
        if (json)
        {
            console.Out.WriteLine(JsonText.ReadableLines(Fields()));
            return;
        }

        void Line(string name, string value) => console.Out.WriteLine($"{name + ':',-20} {value}");
        Line("image", EscapedText.Escape(Name));
        Line("format", Format);
        Line("virtual size", $"{SizeText.Human(Device.Length)} ({Device.Length} bytes)");
        if (Allocated is { } bytes)
        {
            Line("disk usage", bytes < 0 ? "unknown" : SizeText.Human(bytes));
        }
        else
        {
            Line("block size", SizeText.Human(Device.Limits.RequestAlignment));
            Line("writable", Device.IsReadOnly ? "no" : "yes");
        }

        if (Device.Zones is { } zones)
        {
            InfoVerb.WriteLimits(zones.Limits, Line);
        }
        else
        {
            Line("zones", "none");
        }
    }

    private JsonFields Fields() => new JsonFields { { "image", Name }, { "format", Format }, { "size", Device.Length } }
        .WithIf(Allocated is not null, "allocated", Allocated)
        .WithIf(Allocated is null, "block_size", Device.Limits.RequestAlignment)
        .WithIf(Allocated is null, "read_only", Device.IsReadOnly)
        .WithIf(Device.Zones is not null, "zoned", Device.Zones is { } zones ? InfoVerb.LimitFields(zones.Limits) : null);
}
