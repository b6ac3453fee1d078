using Paddock.Nvme;
using Paddock.Server.Disks;
using Paddock.Server.Listeners;
using Paddock.Server.Live;

namespace Paddock.Server.Namespaces;

/// <summary>Puts what happens to the server into the persistent events and the telemetry of its NVMe subsystems.</summary>
internal static class DriveJournal
{
    // of the control socket, commands that only ask are not recorded
    private static readonly string[] _asking = ["status", "watch", "snapshot list"];

    /// <summary>Follows the events of a server. Those of an image are recorded where it is a namespace; others are common to all.</summary>
    public static void Follow(RecentEvents events, NvmeSubsystems subsystems) => events.Added += e =>
    {
        bool isOfImage = e.Facts.TryGetValue("image", out string? image);
        var concerned = isOfImage ? subsystems.Namespaces.Where(n => IsOf(n.Disk, image!)).Select(n => n.Subsystem).Distinct()
            : subsystems.Target.Subsystems;
        foreach (var subsystem in concerned)
        {
            Record(subsystem, e);
        }
    };

    // events have the name of the disk, or that of its file
    private static bool IsOf(ServedDisk disk, string image) => disk.Name == image || disk.Filename == image;

    private static void Record(NvmeSubsystem subsystem, LiveEvent happened)
    {
        switch (happened.Event)
        {
            case "power cut":
                subsystem.Health.CountPowerCut();
                Alarm(subsystem, TextOf(happened));
                break;
            case "power restored":
                subsystem.RecordPowerOn();
                break;
            case "flush failed" or "image not reopened":
                Alarm(subsystem, TextOf(happened));
                break;
            case "control" or "script" or "web control"
                when happened.Facts.GetValueOrDefault("line") is { } line && !Array.Exists(_asking, line.StartsWith):
                subsystem.EventLog.AddText($"{happened.Event}: {line}");
                break;
            case "resized" or "snapshot taken" or "snapshot deleted":
                subsystem.EventLog.AddText(TextOf(happened));
                break;
        }
    }

    private static void Alarm(NvmeSubsystem subsystem, string text)
    {
        subsystem.EventLog.AddText(text);
        subsystem.Telemetry.Record(text);
    }

    private static string TextOf(LiveEvent happened) => happened.Event + string.Concat(happened.Facts.Select(f => $" {f.Key}={f.Value}"));
}
