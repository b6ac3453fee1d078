namespace Paddock.Testing;

/// <summary>Kinds of change to a simulated disk.</summary>
public enum StorageStep
{
    /// <summary>Bytes were written.</summary>
    Write,

    /// <summary>A range was made to read as zeroes.</summary>
    Zero,

    /// <summary>The space of a range was released.</summary>
    Discard,

    /// <summary>The length was set.</summary>
    SetLength,

    /// <summary>A flush completed.</summary>
    Sync,

    /// <summary>A write that is durable without a flush completed.</summary>
    Settle,
}

/// <summary>Completed step.</summary>
/// <param name="Step">Kind of change.</param>
/// <param name="Offset">Offset in bytes; for <see cref="StorageStep.Sync"/>, the number of log entries made durable; for
/// <see cref="StorageStep.Settle"/>, the index of the entry made durable.</param>
/// <param name="Length">Length in bytes; for <see cref="StorageStep.SetLength"/>, the new length.</param>
/// <param name="Data">Written data.</param>
/// <param name="IsAtomic">Whether a power cut keeps all of it or nothing.</param>
public readonly record struct StorageLogEntry(StorageStep Step, long Offset, long Length, byte[]? Data, bool IsAtomic = false);

/// <summary>Ordered log of all changes to a simulated disk, from which its contents at any moment can be rebuilt.</summary>
public sealed class StorageLog
{
    private readonly List<StorageLogEntry> _entries = [];

    /// <param name="start">Durable contents before the first entry.</param>
    public StorageLog(PagedStorage start) => Start = start;

    /// <summary>Contents of the disk before the first entry.</summary>
    public PagedStorage Start { get; }

    /// <summary>Number of entries so far; identifies a moment.</summary>
    public int Count => _entries.Count;

    /// <summary>Number of completed flushes.</summary>
    public int Syncs { get; private set; }

    /// <summary>Returns one entry.</summary>
    public StorageLogEntry this[int index] => _entries[index];

    /// <summary>Adds a completed step.</summary>
    public void Add(StorageLogEntry entry)
    {
        Syncs += entry.Step == StorageStep.Sync ? 1 : 0;
        _entries.Add(entry);
    }

    /// <summary>Applies an entry to a storage.</summary>
    public static void Apply(PagedStorage storage, in StorageLogEntry entry)
    {
        switch (entry.Step)
        {
            case StorageStep.Write:
                storage.Write(entry.Offset, entry.Data);
                break;
            case StorageStep.Zero:
                storage.Zero(entry.Offset, entry.Length);
                break;
            case StorageStep.Discard:
                storage.Discard(entry.Offset, entry.Length);
                break;
            case StorageStep.SetLength:
                storage.SetLength(entry.Length);
                break;
            case StorageStep.Sync:
            case StorageStep.Settle:
                break;
        }
    }
}
