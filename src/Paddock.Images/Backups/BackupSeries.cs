using System.Security.Cryptography;
using Paddock.Qcow2;

namespace Paddock.Images.Backups;

/// <summary>
/// Which backups follow each other. A backup of a series has an identifier of its own, an increment also that of the backup before it, and
/// the image that of its last backup for each bitmap. All are in names of disabled bitmaps without bits, which QEMU keeps too.
/// </summary>
internal static class BackupSeries
{
    private const string Own = "paddock-id:", Before = "paddock-after:", Last = "paddock-last:";
    private const int IdBytes = 16, IdLength = IdBytes * 2;
    private const long Granularity = 1L << 31;

    /// <summary>A new identifier.</summary>
    public static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes));

    /// <summary>Writes the identifiers of a backup.</summary>
    /// <param name="backup">Bitmaps of the backup.</param>
    /// <param name="id">Its identifier.</param>
    /// <param name="before">That of the backup before it; null for a full backup.</param>
    /// <param name="cancellationToken">Cancels waiting.</param>
    public static async ValueTask WriteAsync(IQcow2Bitmaps backup, string id, string? before, CancellationToken cancellationToken)
    {
        await AddAsync(backup, Own + id, cancellationToken);
        if (before is not null)
        {
            await AddAsync(backup, Before + before, cancellationToken);
        }
    }

    /// <summary>The identifier of the last backup of an image with a bitmap.</summary>
    /// <exception cref="ToolException">No backup has been made with the bitmap.</exception>
    public static string LastOf(IQcow2Bitmaps image, string since)
        => image.List.FirstOrDefault(b => IsLast(b, since))?.Name.Substring(Last.Length, IdLength)
            ?? throw new ToolException(
                $"no backup has been completed with bitmap '{since}': begin with a full backup (--full --since {since})");

    /// <summary>Notes the last backup of an image with a bitmap.</summary>
    /// <remarks>If it fails halfway, no backup is noted, and the next one must be full.</remarks>
    public static async ValueTask SetLastAsync(IQcow2Bitmaps image, string since, string id, CancellationToken cancellationToken)
    {
        foreach (var old in image.List.Where(b => IsLast(b, since)).ToList())
        {
            await image.RemoveAsync(old.Name, cancellationToken);
        }

        await AddAsync(image, $"{Last}{id}:{since}", cancellationToken);
    }

    /// <summary>Refuses backups that do not follow each other.</summary>
    /// <param name="before">A backup.</param>
    /// <param name="next">The increment after it.</param>
    /// <exception cref="ToolException">It is not the increment after it.</exception>
    public static void RequireNext(Qcow2Disk before, Qcow2Disk next)
    {
        if (Find(before, Own) is not { } id || Find(next, Before) != id)
        {
            throw new ToolException(
                $"'{next.Name}' is not the increment made after '{before.Name}': give the full backup and every increment after it, "
                + "oldest first");
        }
    }

    private static string? Find(Qcow2Disk backup, string prefix)
        => backup.Info.Bitmaps.FirstOrDefault(b => b.Name.StartsWith(prefix, StringComparison.Ordinal))?.Name[prefix.Length..];

    private static bool IsLast(Qcow2BitmapInfo bitmap, string since)
        => bitmap.Name.StartsWith(Last, StringComparison.Ordinal) && bitmap.Name.EndsWith(":" + since, StringComparison.Ordinal)
            && bitmap.Name.Length == Last.Length + IdLength + 1 + since.Length;

    private static async ValueTask AddAsync(IQcow2Bitmaps bitmaps, string name, CancellationToken cancellationToken)
    {
        await bitmaps.AddAsync(name, Granularity, cancellationToken);
        await bitmaps.SetEnabledAsync(name, enabled: false, cancellationToken);
    }
}
