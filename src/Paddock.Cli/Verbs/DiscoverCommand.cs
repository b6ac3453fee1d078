using System.CommandLine;
using Paddock.Cli.Native;
using Paddock.Images;

namespace Paddock.Cli.Verbs;

/// <summary>The command line of `paddock discover`.</summary>
internal static class DiscoverCommand
{
    public static Command Build(NativeConsole console)
    {
        var address = new Argument<string>("HOST:PORT")
        {
            Description = "Address of the server, without a port the usual ones; or unix:PATH.",
        };
        var host = new Option<string?>("--host-nqn")
        {
            Description = "NVMe host name to ask as (default: Paddock's own).", HelpName = "NQN",
        };
        var json = JsonOption.Create();
        var command = new Command("discover", "Lists the disks of a server by name, over NVMe/TCP and NBD.") { address, host, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await DiscoverVerb.RunAsync(
                parsed.GetRequiredValue(address), parsed.GetValue(host), parsed.GetValue(json), console, cancellationToken);
            return NativeExit.Success;
        });
        return command;
    }
}
