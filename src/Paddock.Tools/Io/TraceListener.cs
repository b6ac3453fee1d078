using System.Diagnostics.Tracing;
using System.IO.Enumeration;
using Paddock.Qcow2;

namespace Paddock.Tools.Io;

/// <summary>Prints the trace events that -T asks for, as lines on standard error.</summary>
internal sealed class TraceListener : EventListener
{
    private readonly Action<string> _print;
    private readonly List<string> _patterns;

    public TraceListener(IEnumerable<string> patterns, Action<string> print)
    {
        _print = print;
        _patterns = [.. patterns];
        EnableEvents(Qcow2EventSource.Log, EventLevel.Informational);
    }

    /// <summary>The patterns of an option: commas between them, and each may begin with <c>enable=</c>.</summary>
    public static IEnumerable<string> Patterns(string option)
        => option.Split(',').Select(static p => p.StartsWith("enable=", StringComparison.Ordinal) ? p[7..] : p);

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        if (eventData.Payload is not [var first, var second])
        {
            return;
        }

        string name = eventData.EventId == 1 ? "qcow2_wp_tracking" : "qcow2_imp_open_zones";
        if (_patterns.Exists(p => FileSystemName.MatchesSimpleExpression(p, name, ignoreCase: false)))
        {
            _print(eventData.EventId == 1 ? $"{name} index 0x{first:x}: wp 0x{second:x}" : $"{name} {first}: implicitly open zones {second}");
        }
    }
}
