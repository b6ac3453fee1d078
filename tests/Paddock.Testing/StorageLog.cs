namespace Paddock.Testing;

/// <summary>What a request did to a simulated disk.</summary>
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
}

/// <summary>One completed step.</summary>
/// <param name="Step">What it did.</param>
/// <param name="Offset">Where, in bytes; for <see cref="StorageStep.Sync"/> the number of log entries that it made durable.</param>
/// <param name="Length">How many bytes; for <see cref="StorageStep.SetLength"/> the new length.</param>
/// <param name="Data">What was written.</param>
public readonly record struct StorageLogEntry(StorageStep Step, long Offset, long Length, byte[]? Data);

/// <summary>Everything that was done to a simulated disk, in order, so that any moment of it can be built again.</summary>
public sealed class StorageLog
{
    private readonly List<StorageLogEntry> _entries = [];

    /// <param name="start">What the disk held before the first entry; durable.</param>
    public StorageLog(PagedStorage start) => Start = start;

    /// <summary>What the disk held before the first entry.</summary>
    public PagedStorage Start { get; }

    /// <summary>Number of entries so far: a moment's name.</summary>
    public int Count => _entries.Count;

    /// <summary>Number of completed flushes.</summary>
    public int Syncs { get; private set; }

    /// <summary>One entry.</summary>
    public StorageLogEntry this[int index] => _entries[index];

    /// <summary>Adds a step that has completed.</summary>
    public void Add(StorageLogEntry entry)
    {
        Syncs += entry.Step == StorageStep.Sync ? 1 : 0;
        _entries.Add(entry);
    }

    /// <summary>Does to a storage what an entry did.</summary>
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
                break;
        }
    }
}
