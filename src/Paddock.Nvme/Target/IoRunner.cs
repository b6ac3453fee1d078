using System.Diagnostics;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Target;

/// <summary>
/// Starts I/O commands whose data is complete: short ones at once on the calling thread, in the order of the calls; slow ones on other
/// threads. Used by one thread.
/// </summary>
/// <param name="sharesThread">
/// Whether the commands of several queues run on the thread: writes that wait for a disk then run elsewhere, too, unless their order
/// matters.
/// </param>
internal sealed class IoRunner(bool sharesThread)
{
    // a longer read may take long because it copies much
    private const int MeasuredRead = 32 << 10;

    private static readonly Action<Command> RunLater = Run;

    // above the time of a write that allocates and of most wake-ups on a busy machine
    private static readonly long SlowWrite = Stopwatch.Frequency / 1_000;

    private InlinePace _reads, _writes;

    /// <summary>Starts a command.</summary>
    public void Start(Command command)
    {
        if (IoCommands.IsSlow(command.Entry))
        {
            command.Defer(RunLater);
        }
        else if (command.Entry.Opcode == Opcode.Read)
        {
            StartRead(command);
        }
        else if (!sharesThread || IsOrdered(command))
        {
            Run(command);
        }
        else if (_writes.IsHere)
        {
            Run(command);
            _writes.Took(command.StartedAt, EndOf(command), SlowWrite);
        }
        else
        {
            command.Defer(RunLater);
        }
    }

    // when reads wait for a disk they run elsewhere: other commands need this thread
    private void StartRead(Command command)
    {
        if (!_reads.IsHere)
        {
            command.Defer(RunLater);
            return;
        }

        bool measures = command.Data.Length <= MeasuredRead;
        Run(command);
        if (measures)
        {
            _reads.Took(command.StartedAt, EndOf(command));
        }
    }

    // a command that still runs does not use this thread any more
    private static long EndOf(Command command) => command.EndedAt is var ended and > 0 ? ended : InlinePace.Now;

    // writes to a zone start at its pointer, one after the other
    private static bool IsOrdered(Command command)
        => command.Entry.Opcode != Opcode.ZoneAppend && command.Controller?.Find(command.Entry.NamespaceId) is not { Zones: null };

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
