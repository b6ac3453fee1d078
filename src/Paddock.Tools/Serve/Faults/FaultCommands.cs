using System.Globalization;
using Paddock.Block;
using Paddock.Tools.Serve.Listeners;

namespace Paddock.Tools.Serve.Faults;

/// <summary>Runs the lines of `paddock fault` on the images of a server, whatever listener they are reached by.</summary>
internal sealed class FaultCommands(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, PowerSwitch power)
{
    private const long MaxHold = 3600;

    /// <summary>Runs a line.</summary>
    /// <returns>An answer of one line that begins with <c>ok</c> or <c>error: </c>.</returns>
    public async Task<string> ExecuteAsync(string line)
    {
        try
        {
            return await RunAsync(FaultSyntax.Parse(line));
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            return "error: " + e.Message.ReplaceLineEndings(" ");
        }
    }

    private async Task<string> RunAsync(ControlLine line)
    {
        switch (line.Command)
        {
            case "fail" or "delay" or "hang":
                var place = Find(line);
                bool isLast = place.Start + place.Length == place.Disk.Device.Length;
                var rule = FaultRuleText.Parse(line, place.Start, place.Length, isLast, place.Disk.Zones?.Limits.ZoneSize ?? 0);
                return $"ok: rule {place.Disk.Faults.Add(rule)} of {place.Disk.Name}";
            case "release":
                return $"ok: {Chosen(line).Sum(d => d.Faults.Release(IdOf(line)))} requests go on";
            case "clear":
                return $"ok: {Chosen(line).Sum(d => d.Faults.Clear(IdOf(line)))} rules are gone";
            case "status":
                return "ok: " + JsonText.Compact(Status());
            case "drop":
                foreach (var listener in listeners)
                {
                    listener.DropConnections();
                }

                return "ok: every connection was ended";
            case "powercut":
                await power.CutAsync(
                    (int)line.Number("keep", 0, 0, 100), (int)line.Number("seed", 0, 0, int.MaxValue),
                    TimeSpan.FromSeconds(line.Number("hold", 0, 0, MaxHold)));
                return "ok: the power was cut and is back";
            default:
                return await SetConditionAsync(line);
        }
    }

    private static int? IdOf(ControlLine line) => line["id"] is null ? null : (int)line.Number("id", 0, 1, int.MaxValue);

    private IEnumerable<ServedDisk> Chosen(ControlLine line)
        => line["image"] is null && line["ns"] is null && line["nqn"] is null ? disks : [Find(line).Disk];

    private IEnumerable<ServedNamespace> Namespaces() => listeners.OfType<NvmeListener>().SelectMany(d => d.Namespaces);

    // the disk that a line is for: the part of an image, and which bytes of it
    private (ServedDisk Disk, long Start, long Length) Find(ControlLine line)
    {
        if (line["image"] is { } name)
        {
            return line["ns"] is not null || line["nqn"] is not null
                ? throw new ToolException("a disk is named by image=, or by ns= and nqn=")
                : disks.FirstOrDefault(d => d.Name == name) is { } found ? (found, 0, found.Node.Device.Length)
                : throw new ToolException($"there is no image '{name}': say {Names("image", disks.Select(d => d.Name))}");
        }

        if (line["ns"] is not null || line["nqn"] is not null)
        {
            var ns = FindNamespace((uint)line.Number("ns", 1, 1, uint.MaxValue), line["nqn"]);
            return (ns.Disk, ns.Start, ns.Namespace.Device.Length);
        }

        return disks is [var only]
            ? (only, 0, only.Node.Device.Length)
            : throw new ToolException($"there are several images: say {Names("image", disks.Select(d => d.Name))}, or ns=N");
    }

    private ServedNamespace FindNamespace(uint id, string? nqn)
    {
        var all = Namespaces().Where(n => n.Namespace.Id == id && (nqn is null || n.Subsystem.Nqn == nqn)).ToArray();
        return all switch
        {
            [var one] => one,
            [] => throw new ToolException($"there is no namespace {id}" + (nqn is null ? "" : $" in subsystem '{nqn}'")),
            _ => throw new ToolException($"several subsystems have a namespace {id}: say {Names("nqn", all.Select(n => n.Subsystem.Nqn))}"),
        };
    }

    private static string Names(string option, IEnumerable<string> names) => string.Join(" or ", names.Distinct().Select(n => $"{option}={n}"));

    private async Task<string> SetConditionAsync(ControlLine line)
    {
        var (disk, start, length) = Find(line);
        if (disk.Zones is not { Attributes: { } attributes } zoned || start + length <= zoned.Limits.ConventionalZones * zoned.Limits.ZoneSize)
        {
            throw new ToolException($"'{disk.Name}' cannot keep conditions of zones here: it has no sequential ones");
        }

        long size = zoned.Limits.ZoneSize, count = (length + size - 1) / size;
        if (line.Number("zone", 0, 0, int.MaxValue) >= count)
        {
            throw new ToolException($"there is no zone {line["zone"]}: the zones of this disk are 0 to {count - 1}");
        }

        if (line["zone"] is null)
        {
            throw new ToolException($"say which zone: zone=0 to zone={count - 1}");
        }

        int shown = (int)line.Number("zone", 0, 0, count - 1), zone = shown + (int)(start / size);
        var condition = line.Command switch
        {
            "readonly" => ZoneCondition.ReadOnly,
            "offline" => ZoneCondition.Offline,
            _ => ZoneCondition.Empty,
        };
        await attributes.SetConditionAsync(zone, condition);
        foreach (var ns in Namespaces().Where(n => n.Disk == disk && n.Namespace.Zones is not null))
        {
            // its zones are counted from its own start
            int its = zone - (int)(ns.Start / size);
            if (its >= 0 && its < ns.Namespace.Zones!.Limits.ZoneCount)
            {
                ns.Subsystem.ZoneChanged(ns.Namespace, its);
            }
        }

        return $"ok: zone {shown} is {(line.Command == "restore" ? "restored" : line.Command)}";
    }

    private QDict Status()
        => new QDict().With("images", disks.Select(StatusOf).Cast<object?>().ToList());

    private static QDict StatusOf(ServedDisk disk)
    {
        var rules = disk.Faults.Rules.Select(r => (object?)new QDict()
            .With("id", (long)r.Id)
            .With("rule", FaultRuleText.Format(r.Fault))
            .With("seen", r.Seen)
            .With("hits", r.Hits)
            .With("waiting", (long)r.Waiting)
            .With("spent", r.Spent)).ToList();
        return new QDict().With("image", disk.Name)
            .WithIf(disk.Power is not null, "unflushed-bytes", disk.Power?.UnflushedBytes)
            .With("rules", rules);
    }
}
