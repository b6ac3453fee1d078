using Paddock.Images.Filters;
using Paddock.Images.Text;

namespace Paddock.Images.Nodes;

/// <summary>The objects <c>throttle-group</c> of <c>--object</c>.</summary>
internal static class ThrottleGroups
{
    /// <summary>Name of the type.</summary>
    public const string TypeName = "throttle-group";

    private static readonly Dictionary<string, ThrottleKind> Kinds = new()
    {
        ["bps-total"] = ThrottleKind.Bytes,
        ["bps-read"] = ThrottleKind.ReadBytes,
        ["bps-write"] = ThrottleKind.WriteBytes,
        ["iops-total"] = ThrottleKind.Requests,
        ["iops-read"] = ThrottleKind.ReadRequests,
        ["iops-write"] = ThrottleKind.WriteRequests,
    };

    /// <summary>Checks every object of a command line, and the limits of its groups.</summary>
    /// <exception cref="ToolException">An object is invalid, or limits contradict each other.</exception>
    public static void Check(IEnumerable<string> objects)
    {
        foreach (var options in objects.Select(UserObjects.Parse).Where(static o => o["qom-type"] as string == TypeName))
        {
            Parse(options, TimeProvider.System);
        }
    }

    /// <summary>Finds the group with an id.</summary>
    /// <exception cref="ToolException">No group has the ID, or its limits contradict each other.</exception>
    public static ThrottleGroup Find(IEnumerable<string> objects, string id)
        => UserObjects.Find(objects, id) is { } options && options["qom-type"] as string == TypeName
            ? Parse(options, TimeProvider.System) : throw new ToolException($"Throttle group '{id}' does not exist");

    /// <summary>Parses an object: properties <c>x-iops-total</c>, or the same in <c>limits.</c> without the <c>x-</c>.</summary>
    public static ThrottleGroup Parse(QDict options, TimeProvider time)
    {
        options.Take("qom-type");
        options.Take("id");
        var limits = new Dictionary<ThrottleKind, ThrottleLimit>();
        var numbers = options.TakePrefix("limits");
        foreach (var (key, value) in options.InOrder)
        {
            numbers[key.StartsWith("x-", StringComparison.Ordinal) ? key[2..] : throw Unexpected(key)] = Number(key, value);
        }

        foreach (var (name, kind) in Kinds)
        {
            limits[kind] = new ThrottleLimit(
                Take(numbers, name, 0), Take(numbers, name + "-max", 0), Take(numbers, name + "-max-length", 1));
        }

        long requestSize = Take(numbers, "iops-size", 0);
        if (numbers.InOrder.FirstOrDefault().Key is { } unknown)
        {
            throw Unexpected(unknown);
        }

        Check(limits);
        return new ThrottleGroup(limits, requestSize, time);
    }

    private static void Check(Dictionary<ThrottleKind, ThrottleLimit> limits)
    {
        foreach (var (total, read, write) in new[]
        {
            (ThrottleKind.Bytes, ThrottleKind.ReadBytes, ThrottleKind.WriteBytes),
            (ThrottleKind.Requests, ThrottleKind.ReadRequests, ThrottleKind.WriteRequests),
        })
        {
            bool both = (limits[total].Average > 0 && (limits[read].Average > 0 || limits[write].Average > 0))
                || (limits[total].Burst > 0 && (limits[read].Burst > 0 || limits[write].Burst > 0));
            Refuse(both, "bps/iops/max total values and read/write values cannot be used at the same time");
        }

        foreach (var limit in limits.Values)
        {
            Refuse(limit.BurstSeconds == 0, "the burst length cannot be 0");
            Refuse(limit is { BurstSeconds: > 1, Burst: 0 }, "burst length set without burst rate");
            Refuse(limit is { Burst: > 0, Average: 0 }, "bps_max/iops_max require corresponding bps/iops values");
            Refuse(limit.Burst > 0 && limit.Burst < limit.Average, "bps_max/iops_max cannot be lower than bps/iops");
        }
    }

    private static void Refuse(bool holds, string message)
    {
        if (holds)
        {
            throw new ToolException(message);
        }
    }

    private static long Take(QDict numbers, string name, long otherwise)
        => numbers.Contains(name) ? Number(name, numbers.Take(name)) : otherwise;

    private static long Number(string name, object? value)
        => NodeOptions.Text(value) is { } text && long.TryParse(text, out long number)
            ? number >= 0 ? number : throw new ToolException("Property values cannot be negative")
            : throw new ToolException($"Parameter '{name}' expects integer");

    private static ToolException Unexpected(string name) => new($"Parameter '{name}' is unexpected");
}
