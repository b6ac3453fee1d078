using System.Globalization;
using Paddock.Block;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Compat.Img;

/// <summary>Internal snapshots and persistent bitmaps, as qemu-img's <c>info</c> lists them.</summary>
internal static class SnapshotList
{
    /// <summary>Most bitmaps that are listed; an image may have 65535.</summary>
    public const int MaxListed = 1000;

    private const long NanosecondsPerSecond = 1_000_000_000;

    // the peer's limits, in bytes
    private const int MaxId = 127, MaxName = 255;

    /// <summary>The table for people.</summary>
    public static IEnumerable<string> Lines(IReadOnlyList<Qcow2SnapshotInfo> snapshots)
    {
        if (snapshots.Count == 0)
        {
            yield break;
        }

        yield return "Snapshot list:";
        yield return Row("ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT");
        foreach (var s in snapshots)
        {
            long seconds = s.VmClockNanoseconds / NanosecondsPerSecond, milliseconds = s.VmClockNanoseconds / 1_000_000 % 1000;
            string date = DateTimeOffset.FromUnixTimeSeconds(s.DateSeconds).ToLocalTime()
                .ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
            string clock = string.Create(
                CultureInfo.InvariantCulture, $"{seconds / 3600:0000}:{seconds / 60 % 60:00}:{seconds % 60:00}.{milliseconds:000}");
            yield return Row(
                EscapedText.Escape(Cut(s.Id, MaxId)), EscapedText.Escape(Cut(s.Name, MaxName)), InfoCommand.Human(s.VmStateSize),
                date, clock,
                s.InstructionCount == -1 ? "--" : s.InstructionCount.ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <summary>The list for programs.</summary>
    public static List<object?> Describe(IReadOnlyList<Qcow2SnapshotInfo> snapshots)
        => [.. snapshots.Select(static s => (object?)new QDict()
            .With("vm-state-size", s.VmStateSize)
            .With("id", Cut(s.Id, MaxId))
            .With("name", Cut(s.Name, MaxName))
            .With("date-sec", s.DateSeconds)
            .With("date-nsec", (long)s.DateNanoseconds)
            .With("vm-clock-sec", s.VmClockNanoseconds / NanosecondsPerSecond)
            .With("vm-clock-nsec", s.VmClockNanoseconds % NanosecondsPerSecond)
            .WithIf(s.InstructionCount != -1, "icount", s.InstructionCount))];

    /// <summary>The bitmaps of an image.</summary>
    public static List<object?> Describe(IReadOnlyList<Qcow2BitmapInfo> bitmaps)
        => [.. bitmaps.Select(static b => (object?)new QDict()
            .With("flags", Flags(b))
            .With("name", b.Name)
            .With("granularity", b.Granularity))];

    private static List<object?> Flags(Qcow2BitmapInfo bitmap)
        => (bitmap.InUse, bitmap.Auto) switch
        {
            (true, true) => ["in-use", "auto"],
            (true, false) => ["in-use"],
            (false, true) => ["auto"],
            _ => [],
        };

    private static string Cut(string text, int bytes)
    {
        // what follows a NUL is not part of the text to QEMU
        int end = text.IndexOf('\0', StringComparison.Ordinal);
        byte[] all = ByteText.ToBytes(end < 0 ? text : text[..end]);
        return ByteText.FromBytes(all.AsSpan(0, Math.Min(bytes, all.Length)));
    }

    private static string Row(string id, string name, string size, string date, string clock, string count)
        => $"{id,-7} {name,-16} {size,8} {date,19} {clock,15} {count,10}";
}
