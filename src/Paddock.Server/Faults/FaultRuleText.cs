using System.Globalization;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Nvme.Wire;
using Paddock.Posix;
using Paddock.Server.Control;

namespace Paddock.Server.Faults;

/// <summary>Parses <c>fail</c>, <c>delay</c> and <c>hang</c> commands into fault rules, and formats rules.</summary>
internal static class FaultRuleText
{
    private const long Eio = 5, MostMilliseconds = 3_600_000, MostStatus = 0x7FF;

    private static readonly (string Name, DeviceOperations Operations)[] Commands =
    [
        ("any", DeviceOperations.Any), ("read", DeviceOperations.Read), ("write", DeviceOperations.Write),
        ("append", DeviceOperations.Append), ("zeroes", DeviceOperations.Zeroes), ("discard", DeviceOperations.Discard),
        ("flush", DeviceOperations.Flush), ("zone", DeviceOperations.Manage), ("open", DeviceOperations.Open),
        ("close", DeviceOperations.Close), ("finish", DeviceOperations.Finish), ("reset", DeviceOperations.Reset),
        ("report", DeviceOperations.Report),
    ];

    private static readonly (string Name, int Number)[] Errors =
    [
        ("EPERM", 1), ("ENOENT", 2), ("EIO", 5), ("EAGAIN", 11), ("ENOMEM", 12), ("EACCES", 13), ("EBUSY", 16), ("ENODEV", 19),
        ("EINVAL", 22), ("EFBIG", 27), ("ENOSPC", 28), ("EROFS", 30), ("EOPNOTSUPP", 95), ("ENOTSUP", 95), ("ETIMEDOUT", 110),
        ("EDQUOT", 122), ("ENOMEDIUM", 123), ("ECANCELED", 125),
    ];

    /// <summary>Kinds of requests.</summary>
    public static string[] OperationNames { get; } = [.. Commands.Select(static c => c.Name)];

    /// <summary>Errors with a name.</summary>
    public static string[] ErrorNames { get; } = [.. Errors.Select(static e => e.Name)];

    /// <summary>Parses a command into a rule.</summary>
    /// <param name="line">A <c>fail</c>, <c>delay</c> or <c>hang</c> command.</param>
    /// <param name="start">Offset in the image of the disk that offsets and zones refer to, in bytes.</param>
    /// <param name="length">Length of that disk.</param>
    /// <param name="isLast">Whether the disk ends at the end of the image.</param>
    /// <param name="zoneSize">Zone size in bytes; 0: not zoned.</param>
    /// <exception cref="ToolException">Invalid value.</exception>
    public static DeviceFault Parse(ControlLine line, long start, long length, bool isLast, long zoneSize)
    {
        var (from, run) = RangeOf(line, start, length, isLast, zoneSize);
        bool fails = line.Command == "fail";
        long number = fails ? ErrorOf(line["error"]) : 0;
        return new DeviceFault
        {
            Action = fails ? DeviceFaultAction.Fail : line.Command == "delay" ? DeviceFaultAction.Delay : DeviceFaultAction.Hang,
            Operations = OperationsOf(line["command"]),
            Nth = line.Number("nth", 1, 1, long.MaxValue),
            Every = line.Number("every", 1, 1, long.MaxValue),
            Count = line.Number("count", 1, 0, long.MaxValue),
            Probability = ProbabilityOf(line["probability"]),
            Seed = (int)line.Number("seed", 0, 0, int.MaxValue),
            Offset = from,
            Length = run,
            Error = Errno.ToBlockError((int)number),
            Errno = (int)number,
            Answer = StatusOf(line["status"]),
            Delay = TimeSpan.FromMilliseconds(line.Number("ms", line.Command == "delay" ? 1000 : 0, 0, MostMilliseconds)),
        };
    }

    /// <summary>Formats a rule as a command, without default values; offsets are relative to the image.</summary>
    public static string Format(DeviceFault fault)
    {
        var words = new List<string> { Invariant($"{fault.Action}").ToLowerInvariant() };
        void Say(bool said, FormattableString text)
        {
            if (said)
            {
                words.Add(FormattableString.Invariant(text));
            }
        }

        Say(fault.Operations != DeviceOperations.Any, $"command={Commands.First(c => c.Operations == fault.Operations).Name}");
        Say(fault.Nth != 1, $"nth={fault.Nth}");
        Say(fault.Every != 1, $"every={fault.Every}");
        Say(fault.Count != 1, $"count={fault.Count}");
        Say(fault.Probability < 1, $"probability={fault.Probability} seed={fault.Seed}");
        Say(fault.Offset != 0 || fault.Length != long.MaxValue, $"offset={fault.Offset} length={fault.Length}");
        Say(fault.Action == DeviceFaultAction.Fail, $"error={NameOf(fault.Errno)}");
        Say(fault.Answer is NvmeStatus, $"status={Convert.ToInt32(fault.Answer, CultureInfo.InvariantCulture):x}");
        Say(fault.Delay > TimeSpan.Zero, $"ms={fault.Delay.TotalMilliseconds}");
        return string.Join(' ', words);
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static string NameOf(int number)
        => Array.Find(Errors, e => e.Number == number).Name ?? number.ToString(CultureInfo.InvariantCulture);

    private static DeviceOperations OperationsOf(string? name)
    {
        if (name is null)
        {
            return DeviceOperations.Any;
        }

        var found = Array.Find(Commands, c => c.Name == name);
        return found.Name is null
            ? throw new ToolException($"command={name}: expected one of {string.Join(", ", Commands.Select(c => c.Name))}")
            : found.Operations;
    }

    private static long ErrorOf(string? text)
    {
        if (text is null)
        {
            return Eio;
        }

        var found = Array.Find(Errors, e => e.Name.Equals(text, StringComparison.OrdinalIgnoreCase));
        return found.Name is not null ? found.Number
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is > 0 and < 4096 ? number
            : throw new ToolException(
                $"error={text}: expected one of {string.Join(", ", Errors.Select(e => e.Name))}, or a number below 4096");
    }

    private static NvmeStatus? StatusOf(string? text)
        => text is null ? null
            : int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int status) && status is > 0
            and <= (int)MostStatus
            ? (NvmeStatus)status
            : throw new ToolException(
                $"status={text}: expected a hexadecimal number from 1 to 7ff (status code type in bits 10:8, status code in bits 7:0)");

    private static double ProbabilityOf(string? text)
        => text is null ? 1
            : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value is > 0
            and <= 1 ? value
            : throw new ToolException($"probability={text}: expected a number above 0 and at most 1");

    private static (long Start, long Length) RangeOf(ControlLine line, long start, long length, bool isLast, long zoneSize)
    {
        if (line["zone"] is { } zones)
        {
            if (line["offset"] is not null || line["length"] is not null)
            {
                throw new ToolException("zone= cannot be combined with offset= and length=");
            }

            if (zoneSize == 0)
            {
                throw new ToolException($"zone={zones}: the image has no zones");
            }

            var runs = ZoneList.Parse(zones, (int)((length + zoneSize - 1) / zoneSize));
            return runs is [var run]
                ? (start + (run.First * zoneSize), run.Count * zoneSize)
                : throw new ToolException($"zone={zones}: expected one zone, or one range such as 3-5");
        }

        long from = line["offset"] is { } o ? SizeText.Parse("offset", o) : 0;
        if (from >= length)
        {
            throw new ToolException($"offset={line["offset"]} is beyond the end of the disk ({length} bytes)");
        }

        // without a length, to the end of the disk; if that is the end of the image, including space added later
        return line["length"] is { } l ? (start + from, Math.Min(SizeText.Parse("length", l), length - from))
            : isLast ? (start + from, long.MaxValue - start - from) : (start + from, length - from);
    }
}
