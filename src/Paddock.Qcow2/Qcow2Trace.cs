namespace Paddock.Qcow2;

/// <summary>A trace event of the engine (QEMU's names).</summary>
/// <param name="Name">The event's name, such as <c>qcow2_wp_tracking</c>.</param>
/// <param name="Text">What follows the name in a line of the trace.</param>
internal readonly record struct Qcow2TraceEvent(string Name, string Text);

/// <summary>
/// The engine's trace events, for `-T` of the compatible tools. Costs one test of a field while nobody listens. (The runtime's event source
/// would need its diagnostics server, which the executable does not have.)
/// </summary>
internal static class Qcow2Trace
{
    /// <summary>Told of each event, on the thread where it happens.</summary>
    public static event Action<Qcow2TraceEvent>? Event;

    /// <summary>Whether somebody listens.</summary>
    public static bool IsEnabled => Event is not null;

    /// <summary>A write pointer moved.</summary>
    /// <param name="zone">Index of the zone.</param>
    /// <param name="pointerSectors">The pointer in sectors of 512 bytes.</param>
    public static void WpTracking(int zone, long pointerSectors)
        => Event?.Invoke(new Qcow2TraceEvent("qcow2_wp_tracking", $"index 0x{zone:x}: wp 0x{pointerSectors:x}"));

    /// <summary>The number of implicitly open zones changed.</summary>
    /// <param name="operation">What changed it.</param>
    /// <param name="count">The new number.</param>
    public static void ImpOpenZones(string operation, int count)
        => Event?.Invoke(new Qcow2TraceEvent("qcow2_imp_open_zones", $"{operation}: implicitly open zones {count}"));
}
