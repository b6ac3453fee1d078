using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve`. Except for those of the process, each has a key in the configuration file.</summary>
internal sealed class ServeOptions
{
    private readonly Argument<string[]> _images = new("IMAGE")
    {
        Description = "Images to serve: files, or rbd:POOL/IMAGE.", Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<string?> _config = ServerOptions.Text(
        "--config", "FILE", "JSON configuration file; command-line options override it.");

    private readonly Option<bool> _check = ServerOptions.Flag(
        "--check-config", "Checks the settings, prints what would be served, and exits.");

    private readonly Option<string?> _nvme = ServerOptions.Text("--nvme", "HOST:PORT", "Address to listen on for NVMe/TCP hosts.");

    private readonly Option<string?> _nbd = ServerOptions.Text("--nbd", "ADDRESS", "Address to listen on for NBD clients.");

    private readonly Option<string?> _vhostUser =
        ServerOptions.Text("--vhost-user", "PATH", "Unix socket for a virtual machine; for several images, a directory.");

    private readonly VfioUserOptions _vfioUser = new();

    private readonly NamespaceOptions _namespaces = new();

    private readonly StandbyOptions _standby = new();

    private readonly ServerOptions _server = new();

    /// <summary>The options of the process.</summary>
    public ProcessOptions Process { get; } = new();

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

        _vfioUser.AddTo(command);
        _namespaces.AddTo(command);
        _standby.AddTo(command);
        _server.AddTo(command);
        Process.AddTo(command);
    }

    /// <summary>The settings: those of the file, overridden by command-line options.</summary>
    public ServeSettings SettingsOf(ParseResult parsed)
    {
        var given = parsed.GetValue(_config) is { } file ? ServeSettings.Load(file) : new ServeSettings();
        return _standby.Over(_namespaces.Over(_vfioUser.Over(_server.Over(given, parsed), parsed), parsed), parsed) with
        {
            Images = [.. (parsed.GetValue(_images) ?? []).Select(path => _server.ImageOf(path, parsed)), .. given.Images],
            Nvme = parsed.GetValue(_nvme) ?? given.Nvme,
            Nbd = parsed.GetValue(_nbd) ?? given.Nbd,
            VhostUser = parsed.GetValue(_vhostUser) ?? given.VhostUser,
        };
    }
}
