using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;

namespace Paddock.Server.Faults;

/// <summary>Executes the commands of `paddock fault` on the images of a server, for all listeners.</summary>
internal sealed class FaultCommands(IReadOnlyList<ServedDisk> disks, IReadOnlyList<IListener> listeners, PowerSwitch power)
{
    private const long MaxHold = 3600;

    /// <summary>Executes a command line.</summary>
    /// <returns>An answer of one line that begins with <c>ok</c> or <c>error: </c>.</returns>
    public async Task<string> ExecuteAsync(string line)
    {
        try
        {
            return (await RunAsync(FaultSyntax.Parse(line))).Format(json: false);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            return "error: " + e.Message.ReplaceLineEndings(" ");
        }
    }

    /// <summary>Executes a command.</summary>
    /// <exception cref="ToolException">Not possible.</exception>
    public async Task<ControlAnswer> RunAsync(ControlLine line)
    {
        switch (line.Command)
        {
            case "fail" or "delay" or "hang":
                var place = Find(line);
                bool isLast = place.Start + place.Length == place.Disk.Device.Length;
                var rule = FaultRuleText.Parse(line, place.Start, place.Length, isLast, place.Disk.Zones?.Limits.ZoneSize ?? 0);
                int id = place.Disk.Faults.Add(rule);
                return new($"rule {id} of {place.Disk.Name}", new JsonFields { { "image", place.Disk.Name }, { "rule", id } });
            case "release":
                int resumed = Chosen(line).Sum(d => d.Faults.Release(IdOf(line)));
                return new($"{Number(resumed, "request")} resumed", new JsonFields { { "resumed", resumed } });
            case "clear":
                int removed = Chosen(line).Sum(d => d.Faults.Clear(IdOf(line)));
                return removed == 0 && IdOf(line) is { } unknown
                    ? throw new ToolException($"there is no rule {unknown}; 'status' lists the rules")
                    : new($"{Number(removed, "rule")} removed", new JsonFields { { "removed", removed } });
            case "status":
                return new(JsonText.Compact(Status()), new JsonFields { { "status", Status() } });
            case "drop":
                foreach (var listener in listeners)
                {
                    listener.DropConnections();
                }

                return new("all connections closed", []);
            case "powercut":
                long unflushed = await power.CutAsync(
                    (int)line.Number("keep", 0, 0, 100), (int)line.Number("seed", 0, 0, int.MaxValue),
                    TimeSpan.FromSeconds(line.Number("hold", 0, 0, MaxHold)));
                return new("power cut and restored", new JsonFields { { "unflushed_bytes", unflushed } });
            default:
                return await SetConditionAsync(line);
        }
    }

    private static string Number(int count, string noun) => $"{count} {noun}{(count == 1 ? "" : "s")}";

    private static int? IdOf(ControlLine line) => line["id"] is null ? null : (int)line.Number("id", 0, 1, int.MaxValue);

    private IEnumerable<ServedDisk> Chosen(ControlLine line)
        => line["image"] is null && line["ns"] is null && line["nqn"] is null ? disks : [Find(line).Disk];

    private IEnumerable<ServedNamespace> Namespaces() => NvmeSubsystems.NamespacesOf(listeners);

    // the disk that a command applies to: an image and a range of its bytes
    private (ServedDisk Disk, long Start, long Length) Find(ControlLine line)
    {
        if (line["image"] is { } name)
        {
            return line["ns"] is not null || line["nqn"] is not null
                ? throw new ToolException("image= cannot be combined with ns= and nqn=")
                : disks.FirstOrDefault(d => d.Name == name) is { } found ? (found, 0, found.Device.Length)
                : throw new ToolException($"unknown image '{name}'; expected {Names("image", disks.Select(d => d.Name))}");
        }

        if (line["ns"] is not null || line["nqn"] is not null)
        {
            var ns = FindNamespace((uint)line.Number("ns", 1, 1, uint.MaxValue), line["nqn"]);
            return (ns.Disk, ns.Start, ns.Namespace.Device.Length);
        }

        return disks is [var only]
            ? (only, 0, only.Device.Length)
            : throw new ToolException($"the server has several images: specify {Names("image", disks.Select(d => d.Name))}, or ns=N");
    }

    private ServedNamespace FindNamespace(uint id, string? nqn)
    {
        var all = Namespaces().Where(n => n.Namespace.Id == id && (nqn is null || n.Subsystem.Nqn == nqn)).ToArray();
        return all switch
        {
            [var one] => one,
            [] => throw new ToolException($"namespace {id} does not exist" + (nqn is null ? "" : $" in subsystem '{nqn}'")),
            _ => throw new ToolException(
                $"several subsystems have a namespace {id}: specify {Names("nqn", all.Select(n => n.Subsystem.Nqn))}"),
        };
    }

    private static string Names(string option, IEnumerable<string> names)
        => string.Join(" or ", names.Distinct().Select(n => $"{option}={n}"));

    private async Task<ControlAnswer> SetConditionAsync(ControlLine line)
    {
        var (disk, start, length) = Find(line);
        if (disk.Zones is not { Attributes: { } attributes } zoned
            || start + length <= zoned.Limits.ConventionalZones * zoned.Limits.ZoneSize)
        {
            throw new ToolException($"'{disk.Name}' has no sequential zones here");
        }

        long size = zoned.Limits.ZoneSize, count = (length + size - 1) / size;
        if (line.Number("zone", 0, 0, int.MaxValue) >= count)
        {
            throw new ToolException($"zone {line["zone"]} does not exist: this disk has zones 0 to {count - 1}");
        }

        if (line["zone"] is null)
        {
            throw new ToolException($"the zone is missing: expected zone=0 to zone={count - 1}");
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
            // zone indices are relative to the namespace
            int its = zone - (int)(ns.Start / size);
            if (its >= 0 && its < ns.Namespace.Zones!.Limits.ZoneCount)
            {
                ns.Subsystem.ZoneChanged(ns.Namespace, its);
            }
        }

        return new(
            $"zone {shown} is {(line.Command == "restore" ? "restored" : line.Command)}",
            new JsonFields { { "image", disk.Name }, { "zone", shown }, { "action", line.Command } });
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
