using System.Diagnostics.Tracing;

namespace Paddock.Qcow2;

/// <summary>The trace events of spec section 5, for dotnet-trace and for `-T`. Made with the first zoned image that is opened for tracing.</summary>
[EventSource(Name = "Paddock-Qcow2")]
public sealed class Qcow2EventSource : EventSource
{
    private static readonly Lazy<Qcow2EventSource> Instance = new(static () => new Qcow2EventSource());

    private Qcow2EventSource()
    {
    }

    /// <summary>The one source.</summary>
    public static Qcow2EventSource Log => Instance.Value;

    /// <summary>A write pointer moved.</summary>
    /// <param name="zone">Index of the zone.</param>
    /// <param name="pointerSectors">The pointer in sectors of 512 bytes.</param>
    [Event(1, Level = EventLevel.Informational)]
    public void WpTracking(int zone, long pointerSectors)
    {
        if (IsEnabled())
        {
            WriteEvent(1, (long)zone, pointerSectors);
        }
    }

    /// <summary>The number of implicitly open zones changed.</summary>
    /// <param name="operation">What changed it.</param>
    /// <param name="count">The new number.</param>
    [Event(2, Level = EventLevel.Informational)]
    public void ImpOpenZones(string operation, int count)
    {
        if (IsEnabled())
        {
            WriteEvent(2, operation, count);
        }
    }
}
