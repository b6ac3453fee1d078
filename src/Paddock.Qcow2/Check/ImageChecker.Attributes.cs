namespace Paddock.Qcow2.Check;

/// <summary>
/// What zones have beside their pointers (zoned-qcow2.md 1.4): the tables are counted where they are what they should be. One that is not, since others
/// wrote over it, is unlinked by a repair, and its clusters belong to whoever else refers to them.
/// </summary>
internal sealed partial class ImageChecker
{
    private async ValueTask CountAttributesAsync(bool fix)
    {
        if (!image.Extensions.TryGetValue(PaddockExtension, out var data) || !CheckedConditions.IsKnown(data, image.ClusterSize))
        {
            return;
        }

        long conditions = CheckedConditions.OffsetOf(data), directory = CheckedConditions.DirectoryOffsetOf(data);
        if (conditions != 0)
        {
            var table = await ReadTableAsync(conditions, CheckedConditions.BytesOf(data));
            string? problem = table is null ? "is outside the image" : CheckedConditions.ConditionProblem(table);
            await CountTableAsync(
                $"zone condition table at 0x{conditions:x}", conditions, CheckedConditions.BytesOf(data), problem, fix,
                CheckedConditions.ConditionsAt, CheckedConditions.ConditionsBytes);
        }

        if (directory != 0)
        {
            var table = await ReadTableAsync(directory, CheckedConditions.DirectoryBytesOf(data));
            string? problem = table is null ? "is outside the image" : CheckedConditions.DirectoryProblem(table);
            await CountTableAsync(
                $"zone extension directory at 0x{directory:x}", directory, CheckedConditions.DirectoryBytesOf(data), problem, fix,
                CheckedConditions.DirectoryAt, CheckedConditions.DirectoryBytes);
            if (problem is null)
            {
                await CountExtensionsAsync(table!, directory, CheckedConditions.SlotBytes(data), fix);
            }
        }
    }

    private async ValueTask<byte[]?> ReadTableAsync(long offset, long bytes)
    {
        if (offset <= 0 || (offset & (image.ClusterSize - 1)) != 0 || offset > _fileLength - bytes)
        {
            return null;
        }

        var table = new byte[bytes];
        await _storage.ReadAsync(offset, table, cancellationToken);
        return table;
    }

    /// <summary>Counts a table, or reports it; a repair clears the fields of the header that name it.</summary>
    private async ValueTask CountTableAsync(string name, long offset, long bytes, string? problem, bool fix, int fieldsAt, int fieldsBytes)
    {
        if (problem is null)
        {
            Reference(offset, bytes);
            return;
        }

        Say($"{(fix ? "Repairing" : "ERROR")} {name} {problem}{(fix ? ": what it said of zones is lost" : "")}");
        if (!fix)
        {
            _report.Corruptions++;
            return;
        }

        image.Extensions[PaddockExtension].AsSpan(fieldsAt, fieldsBytes).Clear();
        await _storage.WriteAsync(image.ExtensionOffsets[PaddockExtension] + fieldsAt, new byte[fieldsBytes], cancellationToken);
        _report.CorruptionsFixed++;
    }

    private async ValueTask CountExtensionsAsync(byte[] directory, long at, int slotBytes, bool fix)
    {
        var seen = new HashSet<long>();
        for (int i = 0; i < CheckedConditions.Entries(directory); i++)
        {
            var (offset, entryAt) = CheckedConditions.Entry(directory, i);
            if (offset == 0)
            {
                continue;
            }

            var cluster = await ReadTableAsync(offset, image.ClusterSize);
            if (cluster is null || !CheckedConditions.IsHead(cluster, i) || !seen.Add(offset))
            {
                await MendAsync($"zone extension directory entry {i}: there is no cluster of extensions at 0x{offset:x}", at + entryAt, 8, fix);
                continue;
            }

            Reference(offset, image.ClusterSize);
            int perCluster = (image.ClusterSize / slotBytes) - 1;
            for (int slot = 1; slot <= perCluster; slot++)
            {
                long zone = ((long)i * perCluster) + slot - 1;
                if (!CheckedConditions.IsSlot(cluster.AsSpan(slot * slotBytes, slotBytes), zone))
                {
                    await MendAsync($"zone {zone}: its descriptor extension is corrupt", offset + (slot * slotBytes), slotBytes, fix);
                }
            }
        }
    }

    private async ValueTask MendAsync(string what, long at, int bytes, bool fix)
    {
        Say($"{(fix ? "Repairing" : "ERROR")} {what}{(fix ? "; it is removed" : "")}");
        if (!fix)
        {
            _report.Corruptions++;
            return;
        }

        await _storage.WriteAsync(at, new byte[bytes], cancellationToken);
        _report.CorruptionsFixed++;
    }
}
