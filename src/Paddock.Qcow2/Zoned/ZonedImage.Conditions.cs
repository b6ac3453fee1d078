using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Zones;

namespace Paddock.Qcow2.Zoned;

// READ ONLY and OFFLINE zones (spec 1.4)
internal sealed partial class ZonedImage
{
    /// <summary>Sets the conditions that the image keeps of its own; without them, or with faulty ones, the image is complete all
    /// the same.</summary>
    private static async ValueTask LoadConditionsAsync(Qcow2Image image, ZoneSet zones, CancellationToken cancellationToken)
    {
        var data = image.Extensions.Find(static e => e.Type == HeaderExtension.Paddock)?.Data;
        if (data is null)
        {
            return;
        }

        var found = PaddockExtension.Parse(data, image.Geometry.ClusterSize, image.Storage.Length, out string? problem);
        if (found is not { } extension)
        {
            image.AddWarning($"Paddock's header extension is ignored: {problem}");
            return;
        }

        if (extension.ConditionOffset.Value == 0)
        {
            return;
        }

        var table = new byte[extension.ConditionBytes];
        await image.Storage.ReadAsync(extension.ConditionOffset.Value, table, cancellationToken);
        var conditions = new ZoneCondition[zones.Count];
        if (!ZoneConditionTable.TryParse(table, conditions, out problem))
        {
            image.AddWarning($"the zone condition table at {extension.ConditionOffset} is ignored: {problem}");
            return;
        }

        image.RegisterZoneConditions(extension.ConditionOffset.Value, table.Length);
        for (int zone = 0; zone < zones.Count; zone++)
        {
            if (conditions[zone] != 0)
            {
                zones.SetFixed(zone, conditions[zone]);
            }
        }
    }
}
