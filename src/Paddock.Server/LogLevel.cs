namespace Paddock.Server;

/// <summary>Importance of a log event.</summary>
public enum LogLevel
{
    /// <summary>Data may be lost, or an image is unavailable.</summary>
    Error,

    /// <summary>A client was rejected, or something needs attention.</summary>
    Warning,

    /// <summary>Normal operation.</summary>
    Info,

    /// <summary>Details for finding faults.</summary>
    Debug,
}
