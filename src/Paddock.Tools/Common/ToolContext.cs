using System.Text;
using Paddock.Block;

namespace Paddock.Tools;

/// <summary>What a run of a compatible tool sees of the world: where its lines go and what it may ask.</summary>
public sealed class ToolContext
{
    private static readonly Encoding Utf8 = ByteText.Printing;

    /// <summary>The name that messages begin with, such as <c>qemu-img</c>.</summary>
    public required string Program { get; init; }

    /// <summary>Standard output, buffered: flushed when full, at exit, and where a tool says so.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Standard error, flushed after each message.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Standard input.</summary>
    public TextReader In { get; init; } = TextReader.Null;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Looks up an environment variable.</summary>
    public Func<string, string?> GetVariable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>A context on the process's own streams.</summary>
    public static ToolContext ForProcess(string program) => new()
    {
        Program = program,
        Out = new StreamWriter(Console.OpenStandardOutput(), Utf8, 8192) { AutoFlush = false },
        Error = new StreamWriter(Console.OpenStandardError(), Utf8, 1024) { AutoFlush = true },
        In = new StreamReader(Console.OpenStandardInput(), Utf8),
    };

    /// <summary>Prints <c>PROGRAM: message</c> on standard error.</summary>
    public void Report(string message)
    {
        Error.Write($"{Program}: {message}\n");
        Error.Flush();
    }

    /// <summary>Prints <c>PROGRAM: warning: message</c> on standard error.</summary>
    public void Warn(string message) => Report("warning: " + message);

    /// <summary>Prints a line on standard output, ended by a line feed on every system.</summary>
    public void Line(string text)
    {
        Out.Write(text);
        Out.Write('\n');
    }
}
