using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of `paddock serve` for servers that take images over from each other, and what then remains of writes.</summary>
internal sealed class StandbyOptions
{
    private readonly Option<bool> _standby = ServerOptions.Flag(
        "--standby", "Waits for images that are in use, and takes them over; see below.");

    private readonly Option<int?> _node = ServerOptions.Number(
        "--node", "N", "Number of this server, 1 to 15, where several share images.");

    private readonly Option<bool> _writeThrough = ServerOptions.Flag(
        "--write-through", "Makes each change durable before it is acknowledged.");

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_standby);
        command.Add(_node);
        command.Add(_writeThrough);
    }

    /// <summary>Settings, overridden by these options.</summary>
    public ServeSettings Over(ServeSettings given, ParseResult parsed) => given with
    {
        Standby = parsed.GetValue(_standby) || given.Standby,
        WriteThrough = parsed.GetValue(_writeThrough) || given.WriteThrough,
        Node = parsed.GetValue(_node) ?? given.Node,
    };
}
