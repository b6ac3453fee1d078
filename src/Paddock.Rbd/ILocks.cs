using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>The exclusive lock of an image, as its header has it.</summary>
internal interface IHeaderLock
{
    /// <summary>Reads the client that holds the lock; one call at a time.</summary>
    /// <returns>A negative error number, or 0 and the client's number; 0 if nobody holds it, -1 if the holder is no numbered client.</returns>
    Task<(int Result, long Client)> ReadAsync();
}

/// <summary>The exclusive lock of an image that another client may hold.</summary>
internal interface IContestedLock : IAsyncDisposable
{
    /// <summary>The number of the client that has the lock; 0 if none has.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<long> ReadHolderAsync();

    /// <summary>The client that has the lock; null if none has.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<RbdOwner?> FindOwnerAsync();

    /// <summary>Whether a client has the image open, as far as the cluster knows.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<bool> IsAliveAsync(long client);

    /// <summary>Blocklists a client and breaks its lock.</summary>
    /// <returns>False if it is not the holder any more.</returns>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<bool> BreakAsync(RbdOwner owner);
}
