using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Snapshots;

/// <summary>A snapshot whose disk is opened, for reading only, in place of the present one.</summary>
/// <param name="Id">Its ID; null: any.</param>
/// <param name="Name">Its name; null: any.</param>
internal sealed record SnapshotChoice(string? Id, string? Name)
{
    /// <summary>Its ID; where no snapshot has that ID, its name.</summary>
    public string? IdOrName { get; init; }

    /// <summary>Whether the disk keeps its present size, as with QEMU, in place of the snapshot's.</summary>
    public bool KeepsSize { get; init; }

    /// <summary>The snapshot in a table.</summary>
    /// <exception cref="SnapshotLoadException">No snapshot matches.</exception>
    public SnapshotEntry Find(IReadOnlyList<SnapshotEntry> entries)
        => (IdOrName is null
            ? entries.FirstOrDefault(e => (Id is null || e.Id == Id) && (Name is null || e.Name == Name))
            : entries.FirstOrDefault(e => e.Id == IdOrName) ?? entries.FirstOrDefault(e => e.Name == IdOrName))
            ?? throw new SnapshotLoadException(BlockError.NotFound, "Can't find snapshot");
}

/// <summary>The snapshot to be opened cannot be; the image itself could.</summary>
internal sealed class SnapshotLoadException(BlockError error, string message, Exception? inner = null)
    : BlockException(error, message, inner);
