using System.Text;
using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>What a native verb sees of the terminal: where its lines go, how wide they may be, and whether colour and blocks may be
/// used.</summary>
public sealed class NativeConsole
{
    private static readonly Encoding Utf8 = ByteText.Printing;

    private readonly Stream _output;
    private Func<bool>? _hangup;
    private volatile bool _hasProgress;

    /// <param name="output">Takes what the verb prints; also used for bytes (JSON).</param>
    /// <param name="error">Takes messages and progress.</param>
    /// <param name="input">Data for the verb.</param>
    public NativeConsole(Stream output, Stream error, Stream input)
    {
        _output = output;
        OutStream = new OutputStream(output, "standard output");
        Out = TextWriter.Synchronized(new StreamWriter(OutStream, Utf8, 8192) { NewLine = "\n" });
        Error = TextWriter.Synchronized(
            new StreamWriter(new OutputStream(error, "standard error", retries: true), Utf8, 1024) { NewLine = "\n", AutoFlush = true });
        Input = input;
    }

    /// <summary>Standard output, buffered: flush before the process ends.</summary>
    public TextWriter Out { get; }

    /// <summary>The stream under <see cref="Out"/>.</summary>
    internal OutputStream OutStream { get; }

    /// <summary>Standard error.</summary>
    public TextWriter Error { get; }

    /// <summary>Standard input.</summary>
    public Stream Input { get; }

    /// <summary>Whether standard input is a terminal, where a person may not know that data is expected.</summary>
    public bool InputIsTerminal { get; init; }

    /// <summary>Whether standard output is a terminal, which bytes would disturb.</summary>
    public bool OutputIsTerminal { get; init; }

    /// <summary>How long a command that is asked to stop has to finish and flush; then the process ends without that.</summary>
    public TimeSpan StopLimit { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>The colours that may be printed on <see cref="Out"/>.</summary>
    public TerminalColors Colors { get; init; }

    /// <summary>Whether block characters may be printed with colours; else ASCII only.</summary>
    public bool Unicode { get; init; }

    /// <summary>Whether progress may be drawn on <see cref="Error"/>.</summary>
    public bool ShowsProgress { get; init; }

    /// <summary>Whether <see cref="Out"/> is a terminal on which pictures can be drawn again and again.</summary>
    public bool CanMoveCursor { get; init; }

    /// <summary>Columns of the terminal.</summary>
    public int Width { get; init; } = 80;

    /// <summary>The process's own streams; NO_COLOR, TERM=dumb and redirection are respected.</summary>
    public static NativeConsole ForProcess()
    {
        bool terminal = Terminal.IsOutputTerminal;
        string locale = FirstOf("LC_ALL", "LC_CTYPE", "LANG");
        return new NativeConsole(StandardStreams.Output(), StandardStreams.Error(), StandardStreams.Input())
        {
            Colors = TerminalColors.Of(terminal, static name => FirstOf(name)),
            Unicode = locale.Replace("-", "", StringComparison.Ordinal).Contains("utf8", StringComparison.OrdinalIgnoreCase),
            OutputIsTerminal = terminal,
            InputIsTerminal = Terminal.IsInputTerminal,
            ShowsProgress = Terminal.IsErrorTerminal && FirstOf("TERM") != "dumb",
            CanMoveCursor = terminal && FirstOf("TERM") != "dumb",
            Width = Terminal.Width(80),
        };
    }

    /// <summary>Sets what SIGHUP does. Without it, SIGHUP stops the command.</summary>
    /// <param name="handler">Returns false if the signal means a stop after all.</param>
    public void HandleHangup(Func<bool> handler) => _hangup = handler;

    /// <summary>SIGHUP has arrived.</summary>
    /// <returns>Whether it was handled; otherwise the command is to stop.</returns>
    public bool Hangup() => _hangup?.Invoke() == true;

    /// <summary>Prints a message on <see cref="Error"/>, on one line; what names and images put into it is escaped.</summary>
    public void Tell(string message) => Error.WriteLine("paddock: " + EscapedText.Escape(message));

    /// <summary>Prints lines that are a service to people; a closed or full standard output is not an error.</summary>
    public void Announce(IEnumerable<string> lines)
    {
        Out.Flush();
        try
        {
            _output.Write(Utf8.GetBytes(string.Concat(lines.Select(line => EscapedText.Escape(line) + "\n"))));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // the lines are in the log as well
        }
    }

    /// <summary>Tells a person at a terminal that the command waits for data and how to end it; nothing elsewhere.</summary>
    public void PromptForInput()
    {
        if (InputIsTerminal)
        {
            Error.WriteLine("paddock: reading data from standard input (Ctrl-D: end of data, Ctrl-C: stop)");
        }
    }

    /// <summary>Draws the share that is done, 0 to 1, over the last one; nothing where there is no terminal.</summary>
    public void Progress(string what, double share)
    {
        if (ShowsProgress)
        {
            _hasProgress = true;
            Error.Write($"\r{what}: {Math.Clamp(share, 0, 1) * 100:0}% ");
        }
    }

    /// <summary>Draws a line of progress over the last one; nothing where there is no terminal.</summary>
    public void ProgressLine(string line)
    {
        if (ShowsProgress)
        {
            _hasProgress = true;
            Error.Write($"\r{(line.Length < Width ? line : line[..(Width - 1)])}\u001b[K");
        }
    }

    /// <summary>Clears the progress line, if one was drawn.</summary>
    public void EndProgress()
    {
        if (_hasProgress)
        {
            _hasProgress = false;
            Error.Write("\r\u001b[K");
        }
    }

    private static string FirstOf(params string[] names)
    {
        foreach (string name in names)
        {
            if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } value)
            {
                return value;
            }
        }

        return "";
    }
}
