using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>Names of zone conditions, as `paddock zones` prints them.</summary>
public static class Conditions
{
    /// <summary>The name of each condition.</summary>
    public static IReadOnlyDictionary<ZoneCondition, string> Names { get; } = new Dictionary<ZoneCondition, string>
    {
        [ZoneCondition.NotWritePointer] = "conventional",
        [ZoneCondition.Empty] = "empty",
        [ZoneCondition.ImplicitlyOpen] = "implicitly open",
        [ZoneCondition.ExplicitlyOpen] = "explicitly open",
        [ZoneCondition.Closed] = "closed",
        [ZoneCondition.Full] = "full",
        [ZoneCondition.ReadOnly] = "read only",
        [ZoneCondition.Offline] = "offline",
    };
}
