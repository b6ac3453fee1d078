namespace Paddock.Block;

/// <summary>
/// A storage whose right to be written can be lost to another machine. Once it is lost, every request fails with
/// <see cref="BlockError.NotOwner"/>, and only opening the storage again can restore it.
/// </summary>
internal interface IOwnedStorage
{
    /// <summary>Completes, without a failure, when ownership is lost; never while it is held.</summary>
    Task Lost { get; }

    /// <summary>Why ownership was lost, as a phrase for people; null while it is held.</summary>
    string? LossReason { get; }
}

/// <summary>
/// An owned storage whose owner is judged by a clock: after it was stopped for a while, it cannot know whether it is the owner still, and
/// must not answer from memory until it does.
/// </summary>
internal interface ILeasedStorage : IOwnedStorage
{
    /// <summary>Whether this process is certainly the owner at this moment.</summary>
    bool IsConfirmed { get; }

    /// <summary>Completes when this process was certainly the owner at some time since the call.</summary>
    /// <exception cref="BlockException">
    /// Ownership is lost (<see cref="BlockError.NotOwner"/>), or cannot be confirmed: the storage does not answer.
    /// </exception>
    ValueTask ConfirmAsync();
}

/// <summary>Finds the owned storage under decorators.</summary>
internal static class OwnedStorage
{
    /// <summary>The storage itself or the one that it decorates, if that has an owner; else null.</summary>
    public static IOwnedStorage? Of(IStorage storage)
    {
        var current = storage;
        while (current is not IOwnedStorage && current is DelegatingStorage { Inner: var inner })
        {
            current = inner;
        }

        return current as IOwnedStorage;
    }
}
