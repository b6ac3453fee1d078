using Paddock.Block;

namespace Paddock.Tools.Native;

/// <summary>`paddock zone open|close|finish|reset`.</summary>
public static class ZoneActionVerb
{
    /// <summary>Does it to each run of zones, each run whole or not at all, and says how many zones that were.</summary>
    public static async ValueTask RunAsync(
        ZoneAction action, string path, string zones, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(path, writable: true, console, cancellationToken);
        var zoned = NativeImage.Zones(device, path);
        int done = 0;
        foreach (var run in ZoneList.Parse(zones, zoned.Limits.ZoneCount))
        {
            var target = zones == "all" ? Sequential(run, zoned.Limits) : run;
            long start = target.First * zoned.Limits.ZoneSize;
            long end = Math.Min((target.First + (long)target.Count) * zoned.Limits.ZoneSize, device.Length);
            try
            {
                await zoned.ManageAsync(action, start, end - start, cancellationToken);
            }
            catch (ZoneException e) when (done > 0)
            {
                throw new ToolException($"{e.Message} (the {done} zones named before it are done)");
            }

            done += target.Count;
        }

        await device.FlushAsync(cancellationToken);
        console.Out.WriteLine($"{done} {(done == 1 ? "zone" : "zones")} {Done(action)}");
    }

    // "all" means all that have a write pointer: a conventional zone could only refuse
    private static ZoneRun Sequential(ZoneRun all, ZonedLimits limits)
        => limits.ConventionalZones < all.Count
            ? new ZoneRun(limits.ConventionalZones, all.Count - limits.ConventionalZones)
            : throw new ToolException("every zone of this disk is conventional: there is nothing to open, close, finish or reset");

    private static string Done(ZoneAction action) => action switch
    {
        ZoneAction.Open => "opened; a zone stays open while its image is, so this command's end closes it",
        ZoneAction.Close => "closed",
        ZoneAction.Finish => "finished",
        _ => "reset",
    };
}
