using Paddock.Block;

namespace Paddock.Nvme.Target;

/// <summary>Commands that an injected fault holds: they end when the host aborts them, or when their queue has ended.</summary>
internal static class HeldCommands
{
    /// <summary>Ends a command if a fault holds it.</summary>
    /// <param name="controller">Its controller.</param>
    /// <param name="command">The command.</param>
    /// <param name="aborted">Whether the host asked for that.</param>
    /// <returns>False when it is not held: it ends by itself.</returns>
    public static bool GiveUp(Controller controller, Command command, bool aborted)
    {
        command.IsAborted = aborted;
        foreach (var ns in controller.Subsystem.Namespaces)
        {
            if (ns.HeldRequests?.CancelHeld(command.Cancellation) == true)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Waits until a queue that has ended has no command in flight; those that a fault holds are given up.</summary>
    /// <typeparam name="TCommand">Commands of the transport.</typeparam>
    public static async Task EndAllAsync<TCommand>(Controller controller, CommandTable<TCommand> table)
        where TCommand : Command
    {
        // a fault may begin to hold a command only now
        IHeldRequests[] holders = [.. controller.Subsystem.Namespaces.Select(ns => ns.HeldRequests).OfType<IHeldRequests>()];
        Array.ForEach(holders, h => h.Held += table.Wake);
        try
        {
            while (true)
            {
                var change = table.NextChangeAsync();
                var running = table.Snapshot();
                if (running.Length == 0)
                {
                    return;
                }

                foreach (var command in running)
                {
                    command.GiveUpWait();
                    GiveUp(controller, command, aborted: false);
                }

                await change;
            }
        }
        finally
        {
            Array.ForEach(holders, h => h.Held -= table.Wake);
        }
    }
}
