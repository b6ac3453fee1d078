using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>A command of a connection, with the state of its transfer.</summary>
internal sealed class TcpCommand(ICommandQueue queue, int slot) : Command(queue, slot)
{
    /// <summary>Bytes that count against the connection's limit of memory until the command's end.</summary>
    public int Held { get; set; }

    /// <summary>Whether a part of its data failed the digest check.</summary>
    public bool IsBroken { get; set; }

    /// <summary>Bytes of data received so far.</summary>
    public int Received { get; set; }

    /// <inheritdoc/>
    public override void Begin(in SubmissionEntry entry)
    {
        base.Begin(entry);
        Received = 0;
        IsBroken = false;
        Held = 0;
    }
}
