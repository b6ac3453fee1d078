namespace Paddock.Rbd;

/// <summary>
/// The object beside an image's header that its owner watches. Results are 0 or more, or negative error numbers.
/// </summary>
internal interface IOwnerObject : IDisposable
{
    /// <summary>Number of the client of this connection.</summary>
    long ClientId { get; }

    /// <summary>
    /// Waits until this client knows the latest blocklist of the cluster. From then on each OSD that it sends a request knows it too,
    /// before it answers: nothing that a fenced client has sent can arrive after that.
    /// </summary>
    Task<int> CatchUpAsync();

    /// <summary>Reads the record; one call at a time.</summary>
    Task<(int Result, OwnerRecord Record)> ReadAsync();

    /// <summary>Writes the whole record of an owner that nobody doubts; creates the object.</summary>
    Task<int> WriteAsync(long owner);

    /// <summary>Removes the doubt.</summary>
    Task<int> ClearDoubtAsync();

    /// <summary>Doubts an owner; fails if that is not the owner any more.</summary>
    Task<int> DoubtAsync(long owner, long client);

    /// <summary>Empties the record of an owner that is fenced, or closes the image; fails if another one has written it.</summary>
    Task<int> ClearAsync(long owner);

    /// <summary>Removes the object; fails if its record is that of another owner.</summary>
    /// <param name="owner">The owner; 0 if the record is empty.</param>
    Task<int> RemoveAsync(long owner);

    /// <summary>Watches the object, and answers its notifications.</summary>
    /// <param name="failed">Called when the cluster has ended the watch.</param>
    /// <param name="notified">Called with the number of the client that has sent a notification, when it arrives; must not block.</param>
    /// <returns>The watch, or a negative error number.</returns>
    Task<(IAsyncDisposable? Watch, int Result)> WatchAsync(Action failed, Action<long>? notified = null);

    /// <summary>Notifies all who watch the object; one call at a time.</summary>
    /// <param name="milliseconds">Time to answer, counted by the cluster.</param>
    /// <returns>Who has answered; null if the cluster has not said so.</returns>
    Task<NotifyReply?> NotifyAsync(ulong milliseconds);
}
