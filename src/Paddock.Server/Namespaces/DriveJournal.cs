using Paddock.Nvme;
using Paddock.Server.Live;

namespace Paddock.Server.Namespaces;

/// <summary>Puts what happens to the server into the persistent events and the telemetry of its NVMe subsystems.</summary>
internal static class DriveJournal
{
    // of the control socket, commands that only ask are not recorded
    private static readonly string[] _asking = ["status", "watch", "snapshot list"];

    /// <summary>Follows the events of a server.</summary>
    public static void Follow(RecentEvents events, NvmeTarget target) => events.Added += e =>
    {
        foreach (var subsystem in target.Subsystems)
        {
            Record(subsystem, e);
        }
    };

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
