namespace Paddock.Nvme.Target;

/// <summary>The namespaces that are attached to one controller, in order of their identifiers. May be read from any thread.</summary>
internal sealed class AttachedNamespaces
{
    private readonly Lock _lock = new();
    private volatile NvmeNamespace[] _all = [];

    /// <summary>All of them.</summary>
    public IReadOnlyList<NvmeNamespace> All => _all;

    /// <summary>Returns a namespace; null if none with this identifier is attached.</summary>
    public NvmeNamespace? Find(uint id)
    {
        // identifiers usually count from 1 without holes
        var all = _all;
        return id - 1 < (uint)all.Length && all[id - 1].Id == id ? all[id - 1] : Search(all, id);
    }

    /// <summary>Attaches a namespace.</summary>
    /// <returns>Whether it was not attached before.</returns>
    public bool Add(NvmeNamespace ns)
    {
        lock (_lock)
        {
            if (Find(ns.Id) is not null)
            {
                return false;
            }

            _all = [.. _all.Append(ns).OrderBy(n => n.Id)];
            return true;
        }
    }

    /// <summary>Detaches a namespace.</summary>
    /// <returns>Whether it was attached.</returns>
    public bool Remove(NvmeNamespace ns)
    {
        lock (_lock)
        {
            int before = _all.Length;
            _all = [.. _all.Where(n => n.Id != ns.Id)];
            return _all.Length != before;
        }
    }

    // apart, since what a predicate captures would be allocated whether it is used or not
    private static NvmeNamespace? Search(NvmeNamespace[] all, uint id) => Array.Find(all, n => n.Id == id);
}
