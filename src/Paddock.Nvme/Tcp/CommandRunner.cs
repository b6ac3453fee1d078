using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Starts commands whose data is complete: short ones at once on the receiving thread, in order of arrival; slow ones on other threads.
/// </summary>
internal sealed class CommandRunner
{
    // a longer read may take long because it copies much
    private const int MeasuredRead = 32 << 10;

    private readonly QueueAdmission _admission;
    private readonly ConnectCommand _connect;
    private readonly AuthenticationCommands _authentication;
    private readonly MemoryBudget _memory;
    private readonly Action<Command> _runIo;
    private InlinePace _pace;

    public CommandRunner(QueueAdmission admission, ConnectCommand connect, AuthenticationCommands authentication, MemoryBudget memory)
    {
        _admission = admission;
        _connect = connect;
        _authentication = authentication;
        _memory = memory;
        _runIo = RunIo;
    }

    /// <summary>Starts a command, if the queue may run it now. Called on the receiving thread.</summary>
    public void Start(Command command)
    {
        if (_admission.RefusalOf(command.Entry) is { } refused)
        {
            command.Finish(refused);
        }
        else if (_admission.Authentication is not null && QueueAdmission.IsAuthentication(command.Entry))
        {
            _ = _authentication.RunAsync(command);
        }
        else if (_admission.Queue == 0 || _admission.Controller is null || command.Entry.Opcode == Opcode.Fabrics)
        {
            _ = RunAdminAsync(command);
        }
        else if (IoCommands.IsSlow(command.Entry))
        {
            if (command.Held == 0)
            {
                // its data stays in memory for as long as it waits
                _memory.Take(command.Held = command.Data.Length);
            }

            command.Defer(_runIo);
        }
        else if (command.Entry.Opcode == Opcode.Read && !_pace.IsHere)
        {
            command.Defer(_runIo);
        }
        else
        {
            RunHere(command);
        }
    }

    // when reads wait for a disk they run elsewhere: other connections may share this thread
    private void RunHere(Command command)
    {
        bool measures = command.Entry.Opcode == Opcode.Read && command.Entry.DataLength <= MeasuredRead;
        long since = measures ? InlinePace.Now : 0;
        RunIo(command);
        if (measures)
        {
            _pace.Took(since);
        }
    }

    private void RunIo(Command command)
    {
        var controller = _admission.Controller!;
        if (!controller.IsReady)
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

    private async Task RunAdminAsync(Command command)
    {
        NvmeStatus? status;
        try
        {
            status = _admission.Controller is not { } controller || QueueAdmission.IsConnect(command.Entry) ? _connect.Run(command)
                : _admission.Queue != 0 ? NvmeStatus.InvalidOpcode
                : await AdminCommands.ExecuteAsync(controller, command);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            status = NvmeStatus.InternalError;
        }

        if (status is { } done)
        {
            command.Finish(done);
        }
    }
}
