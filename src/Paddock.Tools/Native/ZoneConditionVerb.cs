using Paddock.Block;
using Paddock.Zones;

namespace Paddock.Tools.Native;

/// <summary>`paddock zone readonly|offline|restore`: conditions that the image keeps, to test what runs on the disk.</summary>
public static class ZoneConditionVerb
{
    /// <summary>Sets the zones one after another, and says how many that were.</summary>
    /// <param name="condition">READ ONLY, OFFLINE, or EMPTY to give each the condition back that its write pointer tells.</param>
    /// <param name="path">The image.</param>
    /// <param name="zones">Indices such as 0,3-5, or all.</param>
    /// <param name="console">Takes the answer.</param>
    /// <param name="cancellationToken">Stops it between two zones.</param>
    public static async ValueTask RunAsync(
        ZoneCondition condition, string path, string zones, NativeConsole console, CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(path, writable: true, console, cancellationToken);
        var zoned = NativeImage.Zones(device, path);
        if (zoned.Attributes is not { } attributes)
        {
            throw new ToolException($"'{path}' cannot keep conditions of zones; ask the server that has the image: 'paddock fault'");
        }

        int done = 0;
        foreach (var run in ZoneList.Parse(zones, zoned.Limits.ZoneCount))
        {
            for (int zone = run.First; zone < run.First + run.Count; zone++, done++)
            {
                try
                {
                    await attributes.SetConditionAsync(zone, condition, cancellationToken);
                }
                catch (ZoneException e) when (done > 0)
                {
                    throw new ToolException($"{e.Message} (the {done} zones named before it are done)");
                }
            }
        }

        string what = condition == ZoneCondition.Empty ? "restored" : "made " + ZoneMessages.Name(condition);
        console.Out.WriteLine($"{done} {(done == 1 ? "zone" : "zones")} {what}");
    }
}
