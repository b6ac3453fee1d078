using Paddock.Block;

namespace Paddock.Qcow2;

/// <summary>The internal snapshots of an image (qcow2 specification, "Snapshots").</summary>
public interface IQcow2Snapshots
{
    /// <summary>The snapshots, oldest first.</summary>
    IReadOnlyList<Qcow2SnapshotInfo> List { get; }

    /// <summary>How long requests of others had to wait while the latest snapshot of this session was taken.</summary>
    TimeSpan LastPause { get; }

    /// <summary>
    /// Takes a snapshot of the disk. Requests of other callers wait for about as long as a flush takes; what completed before is part of
    /// the snapshot, and what begins later is not.
    /// </summary>
    /// <param name="name">Its name: at most 65535 bytes. Names need not be unique.</param>
    /// <param name="takenAt">When it was taken, as the table records it.</param>
    /// <param name="cancellationToken">Cancels it before it begins.</param>
    /// <returns>The snapshot, with its new ID. It is durable.</returns>
    /// <exception cref="BlockException">
    /// The image has 65536 snapshots (<see cref="BlockError.TooLarge"/>), its reference counts are too narrow for another one
    /// (<see cref="BlockError.InvalidArgument"/>), or writing failed. There is no new snapshot then.
    /// </exception>
    ValueTask<Qcow2SnapshotInfo> CreateAsync(string name, DateTimeOffset takenAt, CancellationToken cancellationToken = default);

    /// <summary>Deletes a snapshot, and frees what it alone referred to.</summary>
    /// <param name="snapshot">One of <see cref="List"/>; its ID and its name count.</param>
    /// <param name="cancellationToken">Cancels it before it begins.</param>
    /// <exception cref="BlockException">There is no such snapshot (<see cref="BlockError.NotFound"/>), or an I/O error.</exception>
    ValueTask DeleteAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes the disk what it was when a snapshot was taken, its size included. The snapshot stays; the present contents are lost.
    /// </summary>
    /// <param name="snapshot">One of <see cref="List"/>; its ID and its name count.</param>
    /// <param name="cancellationToken">Cancels it before it begins.</param>
    /// <exception cref="BlockException">There is no such snapshot (<see cref="BlockError.NotFound"/>), or an I/O error.</exception>
    ValueTask ApplyAsync(Qcow2SnapshotInfo snapshot, CancellationToken cancellationToken = default);
}
