using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Starts commands whose data is complete: short ones at once on the receiving thread, in order of arrival; slow ones on other threads.
/// </summary>
internal sealed class CommandRunner
{
    private readonly QueueAdmission _admission;
    private readonly ConnectCommand _connect;
    private readonly AuthenticationCommands _authentication;
    private readonly MemoryBudget _memory;
    private readonly IoRunner _io = new(sharesThread: false);

    public CommandRunner(QueueAdmission admission, ConnectCommand connect, AuthenticationCommands authentication, MemoryBudget memory)
    {
        _admission = admission;
        _connect = connect;
        _authentication = authentication;
        _memory = memory;
    }

    /// <summary>Starts a command, if the queue may run it now. Called on the receiving thread.</summary>
    public void Start(TcpCommand command)
    {
        if (_admission.RefusalOf(command.Entry) is { } refused)
        {
            command.Finish(refused);
        }
        else if (_admission.Authentication is not null && QueueAdmission.IsAuthentication(command.Entry))
        {
            _ = _authentication.RunAsync(command);
        }
        else if (_admission.Controller is not { } controller || QueueAdmission.IsConnect(command.Entry))
        {
            command.Finish(Connect(command));
        }
        else if (_admission.Queue == 0)
        {
            _ = AdminCommands.RunAsync(controller, command);
        }
        else if (command.Entry.Opcode == Opcode.Fabrics)
        {
            command.Finish(NvmeStatus.InvalidOpcode);
        }
        else
        {
            if (command.Held == 0 && IoCommands.IsSlow(command.Entry))
            {
                // its data stays in memory for as long as it waits
                _memory.Take(command.Held = command.Data.Length);
            }

            _io.Start(command);
        }
    }

    private NvmeStatus Connect(TcpCommand command)
    {
        try
        {
            return _connect.Run(command);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or ArgumentException)
        {
            return NvmeStatus.InternalError;
        }
    }
}
