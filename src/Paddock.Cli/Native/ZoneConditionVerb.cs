using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Zones;

namespace Paddock.Cli.Native;

/// <summary>`paddock zone readonly|offline|restore`: retires zones permanently, to test the software that uses the disk.</summary>
public static class ZoneConditionVerb
{
    /// <summary>Sets the condition of zones one after another and prints their number.</summary>
    /// <param name="condition">READ ONLY, OFFLINE, or EMPTY to restore the condition given by each write pointer.</param>
    /// <param name="path">The image.</param>
    /// <param name="zones">Indices such as 0,3-5, or all.</param>
    /// <param name="json">Whether to print JSON.</param>
    /// <param name="console">Receives the result.</param>
    /// <param name="cancellationToken">Stops it between two zones.</param>
    /// <param name="passphrase">Passphrase of the image, if it is encrypted.</param>
    public static async ValueTask RunAsync(
        ZoneCondition condition, string path, string zones, bool json, NativeConsole console, ReadOnlyMemory<byte>? passphrase = null,
        CancellationToken cancellationToken = default)
    {
        await using var device = await NativeImage.OpenDiskAsync(path, writable: true, console, cancellationToken, passphrase);
        var zoned = device.Zones!;
        if (zoned.Attributes is not { } attributes)
        {
            throw new ToolException(
                $"'{path}' is on a server: use 'paddock fault SOCKET readonly|offline|restore zone=N' on the server's control socket");
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
                    throw new ToolException(
                        $"{e.Message} ({done} {(done == 1 ? "zone" : "zones")} listed before it {(done == 1 ? "was" : "were")} changed)");
                }
            }
        }

        if (json)
        {
            string action = condition == ZoneCondition.Empty ? "restore" : condition.ToString().ToLowerInvariant();
            console.Out.WriteLine(JsonText.Readable(new JsonFields { { "image", path }, { "action", action }, { "zones", done } }));
            return;
        }

        string what = condition == ZoneCondition.Empty ? "restored" : "made " + ZoneMessages.Name(condition);
        console.Out.WriteLine($"{done} {(done == 1 ? "zone" : "zones")} {what}");
    }
}
