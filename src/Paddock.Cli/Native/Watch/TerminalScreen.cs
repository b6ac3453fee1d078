using System.Runtime.InteropServices;
using System.Text;
using Paddock.Posix;

namespace Paddock.Cli.Native.Watch;

/// <summary>What a view draws on.</summary>
internal interface IScreen
{
    /// <summary>Columns and rows.</summary>
    (int Width, int Height) Size { get; }

    /// <summary>Returns whether the screen has been cleared or resized since the last call: the next frame is drawn whole.</summary>
    bool TakeRedraw();

    /// <summary>Sends text to the terminal.</summary>
    void Show(string text);
}

/// <summary>
/// The alternate screen of the terminal, without a cursor, with keys delivered one by one. The terminal is as before after every end of the
/// process but SIGKILL, and while the process is stopped (Ctrl-Z).
/// </summary>
internal sealed class TerminalScreen : IScreen, IDisposable
{
    private const string Enters = "\u001b[?1049h\u001b[?25l", Leaves = "\u001b[0m\u001b[?25h\u001b[?1049l";

    // the runtime sets the mode that it has found at its start when the process continues, at about the same time as we do
    private const int ModeRepeats = 5;

    private readonly Lock _lock = new();
    private readonly NativeConsole _console;
    private readonly TerminalMode? _mode;
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly EventHandler _exit;
    private bool _isEntered, _isOver;
    private bool _redraw = true;
    private int _modesToSet;

    /// <param name="console">Its output is a terminal.</param>
    public TerminalScreen(NativeConsole console)
    {
        _console = console;
        _console.Out.Flush();
        _exit = (_, _) => Dispose();
        if (OperatingSystem.IsLinux())
        {
            _mode = TerminalMode.Current();
            _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTSTP, Suspend));
            _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => Enter()));
            _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Volatile.Write(ref _redraw, true)));
        }

        AppDomain.CurrentDomain.ProcessExit += _exit;
        Enter();
    }

    /// <inheritdoc/>
    public (int Width, int Height) Size => OperatingSystem.IsLinux() && TerminalMode.WindowSize() is { } size ? size : (_console.Width, 24);

    /// <inheritdoc/>
    public bool TakeRedraw()
    {
        lock (_lock)
        {
            if (_isEntered && _modesToSet > 0 && OperatingSystem.IsLinux())
            {
                _modesToSet--;
                _mode?.ReadKeys();
            }
        }

        return Interlocked.Exchange(ref _redraw, false);
    }

    /// <inheritdoc/>
    public void Show(string text)
    {
        lock (_lock)
        {
            if (_isEntered)
            {
                _console.OutStream.Write(Encoding.UTF8.GetBytes(text));
            }
        }

        _console.OutStream.ThrowIfFailed();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= _exit;
        lock (_lock)
        {
            Leave();
            _isOver = true;
        }

        foreach (var signal in _signals)
        {
            signal.Dispose();
        }
    }

    private void Suspend(PosixSignalContext context)
    {
        context.Cancel = true;
        lock (_lock)
        {
            Leave();
        }

        if (OperatingSystem.IsLinux())
        {
            // SIGCONT enters again
            TerminalMode.StopProcess();
        }
    }

    // A process that a shell has stopped may find the terminal in another mode
    private void Enter()
    {
        lock (_lock)
        {
            if (_isOver)
            {
                return;
            }

            if (OperatingSystem.IsLinux())
            {
                _mode?.ReadKeys();
            }

            _console.OutStream.Write(Encoding.ASCII.GetBytes(Enters));
            _isEntered = true;
            _modesToSet = ModeRepeats;
            Volatile.Write(ref _redraw, true);
        }
    }

    private void Leave()
    {
        if (!_isEntered)
        {
            return;
        }

        _isEntered = false;
        _console.OutStream.Write(Encoding.ASCII.GetBytes(Leaves));
        if (OperatingSystem.IsLinux())
        {
            _mode?.Restore();
        }
    }
}
