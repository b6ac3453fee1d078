using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve` for servers that take images over from each other.</summary>
internal sealed class StandbyOptions
{
    private readonly Option<bool> _standby = ServerOptions.Flag(
        "--standby", "Waits for images that are in use, and takes them over; see below.");

    private readonly Option<int?> _node = ServerOptions.Number(
        "--node", "N", "Number of this server, 1 to 15, where several share images.");

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_standby);
        command.Add(_node);
    }

    /// <summary>Settings, overridden by these options.</summary>
    public ServeSettings Over(ServeSettings given, ParseResult parsed) => given with
    {
        Standby = parsed.GetValue(_standby) || given.Standby,
        Node = parsed.GetValue(_node) ?? given.Node,
    };
}
