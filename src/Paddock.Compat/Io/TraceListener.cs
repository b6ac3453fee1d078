using System.IO.Enumeration;
using Paddock.Qcow2;

namespace Paddock.Compat.Io;

/// <summary>Prints the trace events that -T asks for, as lines on standard error.</summary>
internal sealed class TraceListener : IDisposable
{
    private readonly Action<string> _print;
    private readonly List<string> _patterns;

    public TraceListener(IEnumerable<string> patterns, Action<string> print)
    {
        _print = print;
        _patterns = [.. patterns];
        Qcow2Trace.Event += OnEvent;
    }

    /// <summary>The patterns of an option: commas between them, and each may begin with <c>enable=</c>.</summary>
    public static IEnumerable<string> Patterns(string option)
        => option.Split(',').Select(static p => p.StartsWith("enable=", StringComparison.Ordinal) ? p[7..] : p);

    public void Dispose() => Qcow2Trace.Event -= OnEvent;

    private void OnEvent(Qcow2TraceEvent raised)
    {
        if (_patterns.Exists(p => FileSystemName.MatchesSimpleExpression(p, raised.Name, ignoreCase: false)))
        {
            _print($"{raised.Name} {raised.Text}");
        }
    }
}
