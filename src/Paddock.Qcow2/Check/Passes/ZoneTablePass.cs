namespace Paddock.Qcow2.Check.Passes;

/// <summary>Reads the zoned extension (zoned-qcow2.md 1.2) and counts its table of write pointers.</summary>
internal sealed class ZoneTablePass(CheckContext context) : ICheckPass
{
    public ValueTask RunAsync(CancellationToken cancellationToken)
    {
        context.Zones = null;
        context.ZoneProblem = null;
        if (context.Image.Extensions.TryGetValue(CheckedZones.ExtensionType, out var data) && !(data.Length > 0 && data[0] == 0))
        {
            context.Zones = CheckedZones.Read(data, context.Image, context.FileLength, out string? problem);
            if (context.Zones is { } zones)
            {
                context.Count(zones.TableOffset, zones.TableBytes);
            }
            else
            {
                context.ZoneProblem = problem;
            }
        }

        return ValueTask.CompletedTask;
    }
}
