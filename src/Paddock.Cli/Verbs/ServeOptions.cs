using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve`. Except for those of the process, each has a key in the configuration file.</summary>
internal sealed class ServeOptions
{
    private readonly Argument<string[]> _images = new("IMAGE") { Description = "Images to serve.", Arity = ArgumentArity.ZeroOrMore };

    private readonly Option<string?> _config = ServerOptions.Text(
        "--config", "FILE", "JSON configuration file; command-line options override it.");

    private readonly Option<bool> _check = ServerOptions.Flag(
        "--check-config", "Checks the settings, prints what would be served, and exits.");

    private readonly Option<string?> _nvme = ServerOptions.Text("--nvme", "HOST:PORT", "Address to listen on for NVMe/TCP hosts.");

    private readonly Option<string?> _nbd = ServerOptions.Text("--nbd", "ADDRESS", "Address to listen on for NBD clients.");

    private readonly Option<string?> _vhostUser =
        ServerOptions.Text("--vhost-user", "PATH", "Unix socket for a virtual machine; for several images, a directory.");

    private readonly ServerOptions _server = new();

    private readonly Option<int?> _readyFd = ServerOptions.Number(
        "--ready-fd", "N", "Descriptor that gets every URI on a line when clients can connect.");

    private readonly Option<string?> _pidFile = ServerOptions.Text(
        "--pid-file", "FILE", "File for the process ID, while clients can connect.");

    private readonly Option<string?> _portFile = ServerOptions.Text(
        "--port-file", "FILE", "File for the TCP ports, one per line, while clients can connect.");

    private readonly Option<bool> _exitWithParent =
        ServerOptions.Flag("--exit-with-parent", "Stops when the process that started the server ends.");

    /// <summary>Whether to check the settings without serving.</summary>
    public bool IsCheck(ParseResult parsed) => parsed.GetValue(_check);

    /// <summary>Whether the settings refer to files, so that a reload may change them.</summary>
    public bool HasFiles(ParseResult parsed) => parsed.GetValue(_config) is not null || _server.HasFiles(parsed);

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_images);
        foreach (var option in new Option[] { _config, _check, _nvme, _nbd, _vhostUser })
        {
            command.Add(option);
        }

        _server.AddTo(command);
        foreach (var option in new Option[] { _readyFd, _pidFile, _portFile, _exitWithParent })
        {
            command.Add(option);
        }
    }

    /// <summary>The settings: those of the file, overridden by command-line options.</summary>
    public ServeSettings SettingsOf(ParseResult parsed)
    {
        var given = parsed.GetValue(_config) is { } file ? ServeSettings.Load(file) : new ServeSettings();
        return _server.Over(given, parsed) with
        {
            Images = [.. (parsed.GetValue(_images) ?? []).Select(path => _server.ImageOf(path, parsed)), .. given.Images],
            Nvme = parsed.GetValue(_nvme) ?? given.Nvme,
            Nbd = parsed.GetValue(_nbd) ?? given.Nbd,
            VhostUser = parsed.GetValue(_vhostUser) ?? given.VhostUser,
        };
    }

    /// <summary>How the process reports that it is ready, and when it ends.</summary>
    /// <exception cref="ToolException">The descriptor is not one that the process was started with.</exception>
    public ReadyReport ReportOf(ParseResult parsed)
        => ReadyReport.Open(parsed.GetValue(_readyFd), parsed.GetValue(_pidFile), parsed.GetValue(_portFile));

    /// <summary>Whether the server stops when its parent ends.</summary>
    public bool ExitsWithParent(ParseResult parsed) => parsed.GetValue(_exitWithParent);
}
