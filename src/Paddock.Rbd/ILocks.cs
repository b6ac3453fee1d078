using Paddock.Block;

namespace Paddock.Rbd;

/// <summary>The exclusive lock of an image, as its header has it.</summary>
internal interface IHeaderLock
{
    /// <summary>Reads who holds the lock; one call at a time.</summary>
    /// <returns>A negative error number, or 0 and the holder.</returns>
    Task<(int Result, LockHolder Holder)> ReadAsync();
}

/// <summary>The exclusive lock of an image that another client may hold.</summary>
internal interface IContestedLock : IAsyncDisposable
{
    /// <summary>The client that has the lock.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<LockHolder> ReadHolderAsync();

    /// <summary>The client that has the lock; null if none has.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<RbdOwner?> FindOwnerAsync();

    /// <summary>Whether an owner has the image open, as far as the cluster knows.</summary>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<bool> IsAliveAsync(RbdOwner owner);

    /// <summary>Blocklists a client and breaks its lock.</summary>
    /// <returns>False if it is not the holder any more.</returns>
    /// <exception cref="BlockException">The cluster cannot be asked.</exception>
    Task<bool> BreakAsync(RbdOwner owner);
}
