namespace Paddock.Images.Text;

/// <summary>
/// A dictionary that lists its keys in the order in which QEMU's tools print them: by a hash of the key, newest first where two
/// share a bucket. Values are null, bool, long, double, string, <see cref="QDict"/> and <see cref="List{T}"/> of these.
/// </summary>
internal sealed class QDict
{
    private const int Buckets = 512;

    private readonly Dictionary<string, (object? Value, int Order)> _entries = [];
    private int _added;

    /// <summary>How many entries there are.</summary>
    public int Count => _entries.Count;

    /// <summary>The entries in printing order.</summary>
    public IEnumerable<KeyValuePair<string, object?>> InOrder => _entries
        .OrderBy(e => BucketOf(e.Key)).ThenByDescending(e => e.Value.Order)
        .Select(e => KeyValuePair.Create(e.Key, e.Value.Value));

    /// <summary>The value of a key; null when it is absent too.</summary>
    public object? this[string key]
    {
        get => _entries.TryGetValue(key, out var entry) ? entry.Value : null;
        set => _entries[key] = (value, _entries.TryGetValue(key, out var old) ? old.Order : _added++);
    }

    /// <summary>Whether there is such a key.</summary>
    public bool Contains(string key) => _entries.ContainsKey(key);

    /// <summary>Removes a key.</summary>
    /// <returns>Its value; null when it was absent.</returns>
    public object? Take(string key)
    {
        var value = this[key];
        _entries.Remove(key);
        return value;
    }

    /// <summary>Adds an entry and returns the dictionary, for building one in an expression.</summary>
    public QDict With(string key, object? value)
    {
        this[key] = value;
        return this;
    }

    /// <summary>Adds the entry if the condition holds.</summary>
    public QDict WithIf(bool condition, string key, object? value) => condition ? With(key, value) : this;

    /// <summary>A copy in which nested dictionaries and lists have become dotted keys.</summary>
    public QDict Flatten()
    {
        var flat = new QDict();
        foreach (var (key, value) in InOrder)
        {
            FlattenInto(flat, key, value);
        }

        return flat;
    }

    /// <summary>Removes the entries that begin with <c>prefix.</c> and returns them without it.</summary>
    public QDict TakePrefix(string prefix)
    {
        var taken = new QDict();
        foreach (string key in _entries.Keys.Where(k => k.StartsWith(prefix + ".", StringComparison.Ordinal)).ToArray())
        {
            taken[key[(prefix.Length + 1)..]] = Take(key);
        }

        return taken;
    }

    /// <summary>A shallow copy.</summary>
    public QDict Clone()
    {
        var copy = new QDict();
        foreach (var (key, entry) in _entries.OrderBy(e => e.Value.Order))
        {
            copy[key] = entry.Value;
        }

        return copy;
    }

    private static void FlattenInto(QDict flat, string key, object? value)
    {
        if (value is QDict { Count: > 0 } nested)
        {
            foreach (var (inner, v) in nested.InOrder)
            {
                FlattenInto(flat, key + "." + inner, v);
            }
        }
        else if (value is List<object?> { Count: > 0 } list)
        {
            for (int i = 0; i < list.Count; i++)
            {
                FlattenInto(flat, $"{key}.{i}", list[i]);
            }
        }
        else
        {
            flat[key] = value;
        }
    }

    // the order is all that this hash is for: it must be the one that the peers' key order comes from
    private static int BucketOf(string key)
    {
        uint value = 0x238F13AFu * (uint)key.Length;
        for (int i = 0; i < key.Length; i++)
        {
            value += (uint)key[i] << (i * 5 % 24);
        }

        return (int)((1103515243u * value + 12345u) % Buckets);
    }
}
