using Paddock.Qcow2;

namespace Paddock.Images.Text;

/// <summary>Internal snapshots for programs, and how people name them.</summary>
internal static class SnapshotText
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>The snapshot with an ID; otherwise the first with that name; null if neither exists.</summary>
    public static Qcow2SnapshotInfo? Find(IReadOnlyList<Qcow2SnapshotInfo> snapshots, string idOrName)
        => snapshots.FirstOrDefault(s => s.Id == idOrName) ?? snapshots.FirstOrDefault(s => s.Name == idOrName);

    /// <summary>A snapshot as the native commands and the control socket give it.</summary>
    public static QDict Describe(Qcow2SnapshotInfo snapshot) => new QDict()
        .With("id", snapshot.Id)
        .With("name", snapshot.Name)
        .With("date-sec", snapshot.DateSeconds)
        .With("date-nsec", (long)snapshot.DateNanoseconds)
        .With("disk-size", snapshot.DiskSize)
        .With("vm-state-size", snapshot.VmStateSize)
        .With("vm-clock-sec", snapshot.VmClockNanoseconds / NanosecondsPerSecond);
}
