using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Counts the tables of zone conditions and descriptor extensions (zoned-qcow2.md 1.4). A repair removes a table that something else has
/// overwritten from the header, so that its clusters belong to whatever else refers to them.
/// </summary>
internal sealed class ZoneAttributesPass(CheckContext context) : ICheckPass
{
    private readonly CheckedImage _image = context.Image;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (!_image.Extensions.TryGetValue(CheckedConditions.ExtensionType, out var data)
            || !CheckedConditions.IsKnown(data, _image.ClusterSize))
        {
            return;
        }

        HostOffset conditions = CheckedConditions.OffsetOf(data), directory = CheckedConditions.DirectoryOffsetOf(data);
        if (conditions.Value != 0)
        {
            long bytes = CheckedConditions.BytesOf(data);
            var table = await context.ReadTableAsync(conditions, bytes, cancellationToken);
            string? problem = table is null ? "is outside the image" : CheckedConditions.ConditionProblem(table);
            await CountTableAsync(
                $"zone condition table at {conditions}", conditions, bytes, problem,
                CheckedConditions.ConditionsAt, CheckedConditions.ConditionsBytes, cancellationToken);
        }

        if (directory.Value != 0)
        {
            long bytes = CheckedConditions.DirectoryBytesOf(data);
            var table = await context.ReadTableAsync(directory, bytes, cancellationToken);
            string? problem = table is null ? "is outside the image" : CheckedConditions.DirectoryProblem(table);
            await CountTableAsync(
                $"zone extension directory at {directory}", directory, bytes, problem,
                CheckedConditions.DirectoryAt, CheckedConditions.DirectoryBytes, cancellationToken);
            if (problem is null)
            {
                await CountExtensionsAsync(table!, directory, CheckedConditions.SlotBytes(data), cancellationToken);
            }
        }
    }

    /// <summary>Counts a sound table and reports another; a repair clears the fields of the header that name it.</summary>
    private async ValueTask CountTableAsync(
        string name, HostOffset offset, long bytes, string? problem, int fieldsAt, int fieldsBytes, CancellationToken cancellationToken)
    {
        if (problem is null)
        {
            context.Count(offset, bytes);
            return;
        }

        bool repairs = context.RepairsEntries;
        context.ReportRepair($"{name} {problem}{(repairs ? ": what it said of zones is lost" : "")}", repairs);
        if (repairs)
        {
            _image.Extensions[CheckedConditions.ExtensionType].AsSpan(fieldsAt, fieldsBytes).Clear();
            long at = _image.ExtensionOffsets[CheckedConditions.ExtensionType] + fieldsAt;
            await context.Storage.WriteAsync(at, new byte[fieldsBytes], cancellationToken);
        }
    }

    private async ValueTask CountExtensionsAsync(byte[] directory, HostOffset at, int slotBytes, CancellationToken cancellationToken)
    {
        var seen = new HashSet<HostOffset>();
        for (int i = 0; i < CheckedConditions.Entries(directory); i++)
        {
            var (offset, entryAt) = CheckedConditions.Entry(directory, i);
            if (offset.Value == 0)
            {
                continue;
            }

            var cluster = await context.ReadTableAsync(offset, _image.ClusterSize, cancellationToken);
            if (cluster is null || !CheckedConditions.IsHead(cluster, i) || !seen.Add(offset))
            {
                string problem = $"zone extension directory entry {i}: there is no cluster of extensions at {offset}";
                await RemoveAsync(problem, at + entryAt, 8, cancellationToken);
                continue;
            }

            context.Count(offset, _image.ClusterSize);
            int perCluster = (_image.ClusterSize / slotBytes) - 1;
            for (int slot = 1; slot <= perCluster; slot++)
            {
                long zone = ((long)i * perCluster) + slot - 1;
                if (!CheckedConditions.IsSlot(cluster.AsSpan(slot * slotBytes, slotBytes), zone))
                {
                    await RemoveAsync(
                        $"zone {zone}: its descriptor extension is corrupt", offset + (slot * slotBytes), slotBytes, cancellationToken);
                }
            }
        }
    }

    /// <summary>Reports an entry; a repair clears it.</summary>
    private async ValueTask RemoveAsync(string what, HostOffset at, int bytes, CancellationToken cancellationToken)
    {
        bool repairs = context.RepairsEntries;
        context.ReportRepair($"{what}{(repairs ? "; it is removed" : "")}", repairs);
        if (repairs)
        {
            await context.Storage.WriteAsync(at.Value, new byte[bytes], cancellationToken);
        }
    }
}
