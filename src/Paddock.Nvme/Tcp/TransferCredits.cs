using Paddock.Nvme.Target;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Transfers of data from the host: commands wait for permission in order of arrival, and only so many bytes are requested at once
/// that the host cannot make the connection hold more than its limit. Used by the receiving thread only.
/// </summary>
/// <param name="limit">Most bytes that are requested at once; a longer transfer is granted alone.</param>
internal sealed class TransferCredits(long limit)
{
    private readonly Queue<TcpCommand> _waiting = new();
    private readonly Dictionary<int, TcpCommand> _granted = [];

    /// <summary>Bytes that were requested and have not been received completely.</summary>
    public long GrantedBytes { get; private set; }

    /// <summary>Commands whose transfer is granted.</summary>
    public IReadOnlyCollection<TcpCommand> Granted => _granted.Values;

    /// <summary>Commands that wait for permission.</summary>
    public IReadOnlyCollection<TcpCommand> Waiting => _waiting;

    /// <summary>Adds a command that needs its data.</summary>
    public void Request(TcpCommand command) => _waiting.Enqueue(command);

    /// <summary>Grants the transfer of the command that has waited longest, if it fits the limit.</summary>
    /// <returns>Null when no transfer can be granted now.</returns>
    public TcpCommand? GrantNext()
    {
        if (!_waiting.TryPeek(out var command) || (GrantedBytes > 0 && GrantedBytes + command.Entry.DataLength > limit))
        {
            return null;
        }

        _waiting.Dequeue();
        GrantedBytes += command.Entry.DataLength;
        _granted.Add(command.Slot, command);
        return command;
    }

    /// <summary>The command with a granted transfer of this tag, which is its slot; null if not found.</summary>
    public TcpCommand? Find(ushort tag) => _granted.GetValueOrDefault(tag);

    /// <summary>Ends a granted transfer: its data has been received, or will not be.</summary>
    public void Return(TcpCommand command)
    {
        if (_granted.Remove(command.Slot))
        {
            GrantedBytes -= command.Entry.DataLength;
        }
    }
}
