using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tests;

/// <summary>A queue without a connection: records which commands were completed.</summary>
internal sealed class QueueDouble : ICommandQueue
{
    public List<Command> Completed { get; } = [];

    public LongWorkClient LongWork => throw new NotSupportedException("no long commands run here");

    public Controller? Controller => null;

    public void Complete(Command command) => Completed.Add(command);

    public void Drop(Command command)
    {
    }

    /// <summary>A command of this queue with a transfer of the given length.</summary>
    public TcpCommand Command(int slot, uint length = 4096)
    {
        var command = new TcpCommand(this, slot);
        command.Begin(new SubmissionEntry { CommandId = (ushort)(100 + slot), Opcode = Opcode.Write, DataLength = length });
        return command;
    }
}
