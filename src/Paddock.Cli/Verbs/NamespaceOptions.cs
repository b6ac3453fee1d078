using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve` for what NVMe hosts may do to namespaces.</summary>
internal sealed class NamespaceOptions
{
    private readonly Option<string?> _folder = ServerOptions.Text(
        "--namespace-dir", "DIR", "Directory in which NVMe hosts create and delete namespaces.");

    private readonly Option<string?> _quota = ServerOptions.Text(
        "--namespace-quota", "SIZE", "Maximum total size of the namespaces in --namespace-dir.");

    private readonly Option<string?> _zone = ServerOptions.Text(
        "--namespace-zone-size", "SIZE", "Zone size of zoned ones, a power of two; 0: none (default: 64M).");

    private readonly Option<string?> _area = ServerOptions.Text(
        "--namespace-zrwa-size", "SIZE", "Random write areas of zoned ones, if hosts ask (default: none).");

    private readonly Option<string?> _format = ServerOptions.Text(
        "--nvme-format", "BOOL", "Whether NVMe hosts may format namespaces (default: true).").OneOf("true", "false");

    private readonly Option<string?> _copy = ServerOptions.Text(
        "--nvme-copy", "BOOL", "Whether NVMe hosts may copy blocks with Copy (default: true).").OneOf("true", "false");

    private readonly Option<string?> _uncorrectable = ServerOptions.Text(
        "--nvme-uncorrectable", "BOOL", "Whether they may make blocks unreadable (default: true).").OneOf("true", "false");

    private readonly Option<string?> _history = ServerOptions.Text(
        "--nvme-history", "FILE", "Keeps SMART totals and persistent events between two starts.");

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _folder, _quota, _zone, _area, _format, _copy, _uncorrectable, _history })
        {
            command.Add(option);
        }
    }

    /// <summary>Settings, overridden by these options.</summary>
    public ServeSettings Over(ServeSettings given, ParseResult parsed) => given with
    {
        NamespaceDir = parsed.GetValue(_folder) ?? given.NamespaceDir,
        NamespaceQuota = parsed.GetValue(_quota) ?? given.NamespaceQuota,
        NamespaceZoneSize = parsed.GetValue(_zone) ?? given.NamespaceZoneSize,
        NamespaceZrwaSize = parsed.GetValue(_area) ?? given.NamespaceZrwaSize,
        NvmeHistory = parsed.GetValue(_history) ?? given.NvmeHistory,
        NvmeCopy = parsed.GetValue(_copy) is { } copies ? copies == "true" : given.NvmeCopy,
        NvmeUncorrectable = parsed.GetValue(_uncorrectable) is { } marks ? marks == "true" : given.NvmeUncorrectable,
        NvmeFormat = parsed.GetValue(_format) is { } allows ? allows == "true" : given.NvmeFormat,
    };
}
