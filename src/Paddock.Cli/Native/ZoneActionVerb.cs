using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Cli.Native;

/// <summary>`paddock zone open|close|finish|reset`.</summary>
public static class ZoneActionVerb
{
    /// <summary>Applies an action to runs of zones and prints the number of zones; a run is changed as a whole or not at all.</summary>
    public static async ValueTask RunAsync(
        ZoneAction action, string path, string zones, bool json, NativeConsole console, ReadOnlyMemory<byte>? passphrase = null,
        CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(path, writable: true, console, cancellationToken, passphrase);
        var zoned = device.Zones!;
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
                throw new ToolException(
                    $"{e.Message} ({done} {(done == 1 ? "zone" : "zones")} listed before it {(done == 1 ? "was" : "were")} changed)");
            }

            done += target.Count;
        }

        await device.FlushAsync(cancellationToken);
        console.Out.WriteLine(json
            ? JsonText.Readable(new JsonFields { { "image", path }, { "action", NameOf(action) }, { "zones", done } })
            : $"{done} {(done == 1 ? "zone" : "zones")} {Done(action)}");
    }

    private static string NameOf(ZoneAction action)
        => action == ZoneAction.OpenWithRandomArea ? "open" : action.ToString().ToLowerInvariant();

    // "all" means all sequential zones: an action on a conventional zone would fail
    private static ZoneRun Sequential(ZoneRun all, ZonedLimits limits)
        => limits.ConventionalZones < all.Count
            ? new ZoneRun(limits.ConventionalZones, all.Count - limits.ConventionalZones)
            : throw new ToolException(
                "all zones of this disk are conventional: only sequential zones can be opened, closed, finished or reset");

    private static string Done(ZoneAction action) => action switch
    {
        ZoneAction.OpenWithRandomArea => "opened with a random write area, which stays; closed again when the command closed the image",
        ZoneAction.Open => "opened; closed again when the command closed the image",
        ZoneAction.Close => "closed",
        ZoneAction.Finish => "finished",
        _ => "reset",
    };
}
