using System.Globalization;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;
using Paddock.Server.Disks;
using Paddock.Server.Resize;

namespace Paddock.Server.Snapshots;

/// <summary>Takes, deletes and lists snapshots of served images.</summary>
internal sealed class SnapshotCommands(IReadOnlyList<ServedDisk> disks, ServeLog log, TimeProvider clock)
{
    /// <summary>Executes a command line.</summary>
    /// <returns>The result as JSON, in one line.</returns>
    /// <exception cref="ToolException">Failed; the snapshots are unchanged.</exception>
    public async Task<string> RunAsync(SnapshotLine line)
    {
        var disk = ResizeCommands.Find(disks, line.Image);
        using var use = disk.Hold();
        var snapshots = use.Node.Qcow2?.Snapshots
            ?? throw new ToolException($"'{disk.Name}' is a {use.Node.Driver} image: only qcow2 images have internal snapshots");
        if (line.Action != SnapshotAction.List && disk.Device.IsReadOnly)
        {
            throw new ToolException($"'{disk.Name}' is served read-only");
        }

        switch (line.Action)
        {
            case SnapshotAction.Create:
                var taken = await snapshots.CreateAsync(line.Name!, clock.GetUtcNow());
                double waited = Math.Round(snapshots.LastPause.TotalMilliseconds, 1);
                log.Write(
                    "snapshot taken", ("image", disk.Filename), ("id", taken.Id),
                    ("pause_ms", waited.ToString("F1", CultureInfo.InvariantCulture)));
                return JsonText.Readable(SnapshotText.Describe(taken).With("paused-ms", waited));
            case SnapshotAction.Delete:
                var found = SnapshotText.Find(snapshots.List, line.Name!)
                    ?? throw new ToolException($"'{disk.Name}' has no snapshot '{line.Name}'");
                await snapshots.DeleteAsync(found);
                log.Write("snapshot deleted", ("image", disk.Filename), ("id", found.Id));
                return JsonText.Readable(SnapshotText.Describe(found));
            default:
                return JsonText.Readable(snapshots.List.Select(static s => (object?)SnapshotText.Describe(s)).ToList());
        }
    }
}
