using Paddock.Block.Concurrency;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Target;

/// <summary>Lets I/O commands into a namespace, and keeps them out while it is formatted or deleted.</summary>
internal sealed class NamespaceClosing
{
    private readonly RequestGate _gate = new();
    private int _closed;

    /// <summary>Status of commands while the namespace is closed.</summary>
    public NvmeStatus Refusal { get; private set; }

    /// <summary>Enters.</summary>
    /// <returns>A ticket for <see cref="Leave"/>; negative: the namespace is closed.</returns>
    public int TryEnter() => _gate.TryEnter();

    /// <summary>Leaves.</summary>
    public void Leave(int ticket) => _gate.Leave(ticket);

    /// <summary>Reserves the namespace for a command that closes it.</summary>
    /// <param name="refusal">Status of I/O commands meanwhile.</param>
    /// <returns>False if another command has closed it.</returns>
    public bool TryBegin(NvmeStatus refusal)
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
        {
            return false;
        }

        Refusal = refusal;
        return true;
    }

    /// <summary>Closes the namespace, and completes when no command is inside.</summary>
    /// <exception cref="OperationCanceledException">The wait was cancelled; the namespace is open.</exception>
    public async Task QuietAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            await _gate.CloseUntilAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Volatile.Write(ref _closed, 0);
            throw;
        }
    }

    /// <summary>Opens it again, after <see cref="QuietAsync"/> has completed.</summary>
    public void End()
    {
        _gate.Open();
        Volatile.Write(ref _closed, 0);
    }
}
