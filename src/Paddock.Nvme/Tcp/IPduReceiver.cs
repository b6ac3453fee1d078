using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Serving;

namespace Paddock.Nvme.Tcp;

/// <summary>Receives the PDUs parsed by <see cref="PduReader"/>; called on the receiving thread only.</summary>
internal interface IPduReceiver
{
    /// <summary>The connection is initialized.</summary>
    /// <param name="response">The answer to the host.</param>
    /// <param name="rules">What holds for every later PDU.</param>
    void Initialize(in InitializePdu response, in PduRules rules);

    /// <summary>A command has been received.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="buffer">Holds <paramref name="data"/>; add a reference to keep the data.</param>
    /// <param name="data">The capsule's data.</param>
    /// <param name="isDamaged">Whether the data does not match its digest.</param>
    void TakeCommand(in SubmissionEntry entry, Slab buffer, Memory<byte> data, bool isDamaged);

    /// <summary>The command that was granted a transfer with this tag; null when no such transfer is open.</summary>
    TcpCommand? FindTransfer(ushort tag);

    /// <summary>All data of a transfer has been received.</summary>
    void CompleteTransfer(TcpCommand command);
}
