using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The options of a server's process, which have no keys in a configuration file.</summary>
internal sealed class ProcessOptions
{
    private readonly Option<int?> _readyFd = ServerOptions.Number(
        "--ready-fd", "N", "Descriptor that gets every URI on a line when clients can connect.");

    private readonly Option<string?> _pidFile = ServerOptions.Text(
        "--pid-file", "FILE", "File for the process ID, while clients can connect.");

    private readonly Option<string?> _portFile = ServerOptions.Text(
        "--port-file", "FILE", "File for the TCP ports, one per line, while clients can connect.");

    private readonly Option<bool> _exitWithParent =
        ServerOptions.Flag("--exit-with-parent", "Stops when the process that started the server ends.");

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _readyFd, _pidFile, _portFile, _exitWithParent })
        {
            command.Add(option);
        }
    }

    /// <summary>How the process reports that it is ready, and when it ends.</summary>
    /// <exception cref="ToolException">The descriptor is not one that the process was started with.</exception>
    public ReadyReport ReportOf(ParseResult parsed)
        => ReadyReport.Open(parsed.GetValue(_readyFd), parsed.GetValue(_pidFile), parsed.GetValue(_portFile));

    /// <summary>Whether the server stops when its parent ends.</summary>
    public bool ExitsWithParent(ParseResult parsed) => parsed.GetValue(_exitWithParent);
}
