namespace Paddock.Rbd;

/// <summary>Receives what a process that waits for an image finds out about its owner.</summary>
internal interface ISuccessionObserver
{
    /// <summary>The owner has not answered a question, or the question proves nothing.</summary>
    /// <param name="owner">The owner.</param>
    /// <param name="sign">What the question has shown; never that the owner runs.</param>
    /// <param name="time">How long the cluster took.</param>
    void Unanswered(RbdOwner owner, OwnerSign sign, TimeSpan time);

    /// <summary>The owner was fenced, and its lease is over.</summary>
    /// <param name="owner">The owner.</param>
    /// <param name="breaking">How long the blocklist and the lock took.</param>
    /// <param name="lease">How long its lease lasted after that.</param>
    void Fenced(RbdOwner owner, TimeSpan breaking, TimeSpan lease);
}
