using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Starts I/O commands whose data is complete: short ones at once on the calling thread, in the order of the calls; slow ones on other
/// threads. Used by one thread.
/// </summary>
internal sealed class IoRunner
{
    // a longer read may take long because it copies much
    private const int MeasuredRead = 32 << 10;

    private static readonly Action<Command> RunLater = Run;

    private InlinePace _pace;

    /// <summary>Starts a command.</summary>
    public void Start(Command command)
    {
        bool isRead = command.Entry.Opcode == Opcode.Read;
        if (IoCommands.IsSlow(command.Entry) || (isRead && !_pace.IsHere))
        {
            command.Defer(RunLater);
            return;
        }

        // when reads wait for a disk they run elsewhere: other commands need this thread
        bool measures = isRead && command.Data.Length <= MeasuredRead;
        long since = measures ? InlinePace.Now : 0;
        Run(command);
        if (measures)
        {
            _pace.Took(since);
        }
    }

    private static void Run(Command command)
    {
        // its queue may have ended while it waited for a thread
        if (command.Controller is not { IsReady: true } controller)
        {
            command.Finish(NvmeStatus.CommandSequence);
            return;
        }

        var run = IoCommands.ExecuteAsync(controller, command);
        if (run.IsCompletedSuccessfully)
        {
            command.Finish(run.Result);
        }
        else
        {
            command.FinishAfter(run);
        }
    }
}
