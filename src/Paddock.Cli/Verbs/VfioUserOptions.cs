using System.CommandLine;
using Paddock.Server;

namespace Paddock.Cli.Verbs;

/// <summary>The options of controllers on a virtual machine's PCI bus.</summary>
internal sealed class VfioUserOptions
{
    private readonly Option<string[]> _sockets = ServerOptions.Repeated(
        "--vfio-user", "SOCKET[=NQN]", "Unix socket of an NVMe controller on a guest's PCI bus; repeatable.");

    private readonly Option<int?> _queues = ServerOptions.Number(
        "--vfio-user-queues", "N", "Number of I/O queues of a vfio-user controller (default: 16).");

    private readonly Option<string?> _doorbells = ServerOptions.Text(
        "--vfio-user-doorbells", "MODE", "Doorbells, trapped or mapped (default: trapped).").OneOf("trapped", "mapped");

    private readonly Option<string?> _interrupts = ServerOptions.Text(
        "--vfio-user-interrupts", "MODE", "Interrupts, msix or intx (default: msix).").OneOf("msix", "intx");

    private readonly Option<int?> _poll = ServerOptions.Number(
        "--vfio-user-poll", "US", "Microseconds to poll idle queues; 0: not at all (default: 50).");

    private readonly Option<string?> _sealed = ServerOptions.Text(
        "--vfio-user-sealed", "BOOL", "Let the kernel copy unsealed guest memory (default: true).")
        .OneOf("true", "false");

    /// <summary>Adds these options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _sockets, _queues, _doorbells, _interrupts, _poll, _sealed })
        {
            command.Add(option);
        }
    }

    /// <summary>Settings, overridden by these options.</summary>
    public ServeSettings Over(ServeSettings given, ParseResult parsed) => given with
    {
        VfioUser = [.. parsed.GetValue(_sockets) ?? [], .. given.VfioUser],
        VfioUserQueues = parsed.GetValue(_queues) ?? given.VfioUserQueues,
        VfioUserDoorbells = parsed.GetValue(_doorbells) ?? given.VfioUserDoorbells,
        VfioUserInterrupts = parsed.GetValue(_interrupts) ?? given.VfioUserInterrupts,
        VfioUserPoll = parsed.GetValue(_poll) ?? given.VfioUserPoll,
        VfioUserSealed = parsed.GetValue(_sealed) is { } isSealed ? isSealed == "true" : given.VfioUserSealed,
    };
}
