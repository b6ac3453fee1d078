using System.Buffers;
using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Cli.Native;

/// <summary>The command that a captive server runs for: its words, its environment, its signals, its exit code.</summary>
internal sealed class CaptiveCommand
{
    // as env(1) and timeout(1)
    private const int NotFound = 127, NotExecutable = 126;

    private const int Interrupt = 2, Terminate = 15;

    // signals without a name in the runtime are given by their numbers: SIGUSR1, SIGUSR2
    private static readonly (PosixSignal Signal, int Number)[] Forwarded =
    [
        (PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, Interrupt), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, Terminate),
        ((PosixSignal)10, 10), ((PosixSignal)12, 12),
    ];

    private readonly IReadOnlyList<string> _words;
    private readonly IReadOnlyDictionary<string, string?> _variables;

    private static readonly SearchValues<char> ForShell = SearchValues.Create(" \t\n\"'$&()*;<=>?[\\]`{|}~#!");

    // signals that came before the command was started
    private readonly List<int> _early = [];
    private ChildProcess? _child;

    /// <param name="words">The words after <c>--</c>; a single one with blanks or special characters is a line for the shell.</param>
    /// <param name="variables">Variables to set, or to remove (null).</param>
    public CaptiveCommand(IReadOnlyList<string> words, IReadOnlyDictionary<string, string?> variables)
    {
        _variables = variables;
        _words = words is [var line] && line.AsSpan().ContainsAny(ForShell)
            ? ["/bin/sh", "-c", line] : [.. words.Select(Expand)];
    }

    /// <summary>Runs the command, forwards signals to it, and waits for its end.</summary>
    /// <param name="exitWithParent">Whether the end of our parent terminates it.</param>
    /// <param name="cancellationToken">Stops before the start of the command.</param>
    /// <returns>Its exit code, or 128 and the number of the signal that ended it.</returns>
    /// <exception cref="ToolException">It cannot be started.</exception>
    public async Task<int> RunAsync(bool exitWithParent, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new ToolException("running a command requires Linux");
        }

        // the command may send us a signal at once
        var registrations = Forwarded.Select(f => PosixSignalRegistration.Create(f.Signal, context =>
        {
            context.Cancel = true;

            // the terminal sends Ctrl-C and Ctrl-\ to the whole group
            if (f.Signal is not (PosixSignal.SIGINT or PosixSignal.SIGQUIT) || !Terminal.IsInForeground())
            {
                Forward(f.Number);
            }
        })).ToArray();
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (exitWithParent)
            {
                ParentProcess.Watch(() => Forward(Terminate));
            }

            return await Start();
        }
        finally
        {
            foreach (var registration in registrations)
            {
                registration.Dispose();
            }
        }
    }

    private void Forward(int signal)
    {
        lock (_early)
        {
            if (_child is null)
            {
                _early.Add(signal);
            }
            else if (OperatingSystem.IsLinux())
            {
                _child.Signal(signal);
            }
        }
    }

    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    private Task<int> Start()
    {
        string[] environment = [.. Inherited(), .. _variables.Where(v => v.Value is not null).Select(v => $"{v.Key}={v.Value}")];
        try
        {
            lock (_early)
            {
                _child = ChildProcess.Start(_words, environment);
                _early.ForEach(_child.Signal);
                return _child.Exit;
            }
        }
        catch (BlockException e)
        {
            const int missing = 2;
            throw new ToolException(e.Message, e.Errno == missing ? NotFound : NotExecutable);
        }
    }

    // the environment as bytes, without the variables that we set
    private IEnumerable<string> Inherited()
    {
        string all = ByteText.FromBytes(File.ReadAllBytes("/proc/self/environ"));
        return all.Split('\0', StringSplitOptions.RemoveEmptyEntries)
            .Where(v => !_variables.ContainsKey(v.Split('=', 2)[0]));
    }

    // $PADDOCK_URI needs no shell; in text with blanks it is for a shell that the command starts
    private string Expand(string word)
    {
        if (!word.Contains("PADDOCK_", StringComparison.Ordinal) || word.Any(char.IsWhiteSpace))
        {
            return word;
        }

        foreach (var (name, value) in _variables.OrderByDescending(v => v.Key.Length))
        {
            word = word.Replace($"${{{name}}}", value ?? "", StringComparison.Ordinal)
                .Replace("$" + name, value ?? "", StringComparison.Ordinal);
        }

        return word;
    }
}
