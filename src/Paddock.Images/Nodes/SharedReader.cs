using Paddock.Block;
using Paddock.Rbd;

namespace Paddock.Images.Nodes;

/// <summary>
/// An image in RBD that is open for reading once for all nodes of this process that read it, such as the golden image of many overlays:
/// each open image takes memory and requests of librbd.
/// </summary>
internal sealed class SharedReader : DelegatingStorage
{
    private static readonly Lock _lock = new();
    private static readonly Dictionary<string, Entry> _open = new(StringComparer.Ordinal);

    private readonly string _key;
    private int _closed;

    // closed with the last one of the key
    private SharedReader(IStorage inner, string key)
        : base(inner, owns: false) => _key = key;

    /// <summary>Opens an image for reading, or uses the open one.</summary>
    /// <param name="target">The image; a key is not compared, so that there must be none.</param>
    /// <param name="open">Opens it.</param>
    /// <exception cref="BlockException">It cannot be opened.</exception>
    public static async ValueTask<IStorage> OpenAsync(RbdTarget target, Func<ValueTask<IStorage>> open)
    {
        string key = target.ToString();
        Entry? entry;
        lock (_lock)
        {
            if (!_open.TryGetValue(key, out entry))
            {
                entry = new Entry(new Lazy<Task<IStorage>>(() => open().AsTask()));
                _open.Add(key, entry);
            }

            entry.Users++;
        }

        try
        {
            return new SharedReader(await entry.Storage.Value, key);
        }
        catch
        {
            Leave(key);
            throw;
        }
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (Interlocked.Exchange(ref _closed, 1) == 0 && Leave(_key))
        {
            await Inner.DisposeAsync();
        }
    }

    // true for the last one
    private static bool Leave(string key)
    {
        lock (_lock)
        {
            if (_open.TryGetValue(key, out var entry) && --entry.Users > 0)
            {
                return false;
            }

            _open.Remove(key);
            return true;
        }
    }

    private sealed class Entry(Lazy<Task<IStorage>> storage)
    {
        public Lazy<Task<IStorage>> Storage => storage;

        public int Users { get; set; }
    }
}
