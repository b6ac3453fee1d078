using System.Text;
using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Compat;

/// <summary>What a run of a compatible tool sees of the world: where its lines go and what it may ask.</summary>
public sealed class ToolContext
{
    private static readonly Encoding Utf8 = ByteText.Printing;

    /// <summary>The name that messages begin with, such as <c>qemu-img</c>.</summary>
    public required string Program { get; init; }

    /// <summary>Standard output, buffered: flushed when full, at exit, and when a tool flushes it.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Standard error, flushed after each message.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Standard input.</summary>
    public TextReader In { get; init; } = TextReader.Null;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Looks up an environment variable.</summary>
    public Func<string, string?> GetVariable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>Whether standard output is a terminal, where its lines appear before the next error.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>Why something could not be written to standard output; null while everything could.</summary>
    public string? OutputFailure => Sink?.Failure;

    /// <summary>The stream under <see cref="Out"/>; null where it is a writer of its own.</summary>
    internal OutputStream? Sink { get; private init; }

    /// <summary>A context on the process's own streams.</summary>
    public static ToolContext ForProcess(string program)
        => Over(program, StandardStreams.Input(), StandardStreams.Output(), StandardStreams.Error(), !Console.IsOutputRedirected);

    /// <summary>A context on streams. Each write is whole: several threads may print at once.</summary>
    public static ToolContext Over(string program, Stream input, Stream output, Stream error, bool isTerminal = false)
    {
        var sink = new OutputStream(output, "standard output");
        return new()
        {
            Program = program,
            Sink = sink,
            IsTerminal = isTerminal,
            Out = TextWriter.Synchronized(new StreamWriter(sink, Utf8, 8192) { AutoFlush = false }),
            Error = TextWriter.Synchronized(
                new StreamWriter(new OutputStream(error, "standard error", retries: true), Utf8, 1024) { AutoFlush = true }),
            In = new StreamReader(input, Utf8),
        };
    }

    /// <summary>Prints <c>PROGRAM: message</c> on standard error.</summary>
    public void Report(string message)
    {
        Error.Write(EscapedText.EscapeLines($"{Program}: {message}\n"));
        Error.Flush();
    }

    /// <summary>Prints <c>PROGRAM: warning: message</c> on standard error.</summary>
    public void Warn(string message) => Report("warning: " + message);

    /// <summary>Prints a line on standard output, ended by a line feed on every system.</summary>
    public void Line(string text) => Out.Write(text + "\n");
}
