using System.Collections;

namespace Paddock.Server.Disks;

/// <summary>
/// The served disks: the images that the server was started with, and those of namespaces, which hosts create and delete. May be read from
/// any thread; an enumeration sees the disks of its beginning.
/// </summary>
internal sealed class DiskSet : IReadOnlyList<ServedDisk>
{
    private readonly Lock _lock = new();
    private volatile ServedDisk[] _disks = [];

    /// <summary>Raised after a disk was added, on the thread that adds it.</summary>
    public event Action<ServedDisk>? Added;

    /// <summary>Raised after a disk was removed, before it is closed.</summary>
    public event Action<ServedDisk>? Removed;

    /// <inheritdoc/>
    public int Count => _disks.Length;

    /// <inheritdoc/>
    public ServedDisk this[int index] => _disks[index];

    /// <summary>Adds a disk.</summary>
    public void Add(ServedDisk disk)
    {
        lock (_lock)
        {
            _disks = [.. _disks, disk];
        }

        Added?.Invoke(disk);
    }

    /// <summary>Removes a disk.</summary>
    public void Remove(ServedDisk disk)
    {
        lock (_lock)
        {
            _disks = [.. _disks.Where(d => d != disk)];
        }

        Removed?.Invoke(disk);
    }

    /// <inheritdoc/>
    public IEnumerator<ServedDisk> GetEnumerator() => ((IEnumerable<ServedDisk>)_disks).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
