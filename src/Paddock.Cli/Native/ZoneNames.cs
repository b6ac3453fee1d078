using Paddock.Block;

namespace Paddock.Cli.Native;

/// <summary>How each zone condition is named and drawn.</summary>
internal static class ZoneNames
{
    /// <summary>Every condition in the order of the legend.</summary>
    public static IReadOnlyList<ZoneCondition> All { get; } =
    [
        ZoneCondition.NotWritePointer, ZoneCondition.Empty, ZoneCondition.ImplicitlyOpen, ZoneCondition.ExplicitlyOpen,
        ZoneCondition.Closed, ZoneCondition.Full, ZoneCondition.ReadOnly, ZoneCondition.Offline,
    ];

    public static string Name(ZoneCondition condition) => condition switch
    {
        ZoneCondition.NotWritePointer => "conventional",
        ZoneCondition.Empty => "empty",
        ZoneCondition.ImplicitlyOpen => "implicitly open",
        ZoneCondition.ExplicitlyOpen => "explicitly open",
        ZoneCondition.Closed => "closed",
        ZoneCondition.ReadOnly => "read only",
        ZoneCondition.Full => "full",
        _ => "offline",
    };

    /// <summary>The letter where colour and blocks cannot tell.</summary>
    public static char Letter(ZoneCondition condition) => condition switch
    {
        ZoneCondition.NotWritePointer => '=',
        ZoneCondition.Empty => '.',
        ZoneCondition.ImplicitlyOpen => 'i',
        ZoneCondition.ExplicitlyOpen => 'e',
        ZoneCondition.Closed => 'c',
        ZoneCondition.ReadOnly => 'r',
        ZoneCondition.Full => '#',
        _ => 'x',
    };

    /// <summary>Which condition a cell of several zones shows: the one with the highest rank.</summary>
    public static int Rank(ZoneCondition condition) => condition switch
    {
        ZoneCondition.Offline => 7,
        ZoneCondition.ReadOnly => 6,
        ZoneCondition.ExplicitlyOpen => 5,
        ZoneCondition.ImplicitlyOpen => 4,
        ZoneCondition.Closed => 3,
        ZoneCondition.Full => 2,
        ZoneCondition.NotWritePointer => 1,
        _ => 0,
    };

    public static bool IsOpen(ZoneCondition condition) => condition is ZoneCondition.ImplicitlyOpen or ZoneCondition.ExplicitlyOpen;

    public static bool IsActive(ZoneCondition condition) => IsOpen(condition) || condition == ZoneCondition.Closed;
}
