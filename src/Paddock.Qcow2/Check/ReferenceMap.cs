using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check;

/// <summary>
/// References counted for each cluster of the storage, in pages that come with the first reference and widen when a count outgrows them,
/// so that memory follows what is referred to and not what the image or a sparse file claims.
/// </summary>
internal sealed class ReferenceMap
{
    /// <summary>Clusters in a page.</summary>
    public const int PageClusters = 4096;

    /// <summary>Most memory for counts: one byte each covers 10 TiB of 64 KiB clusters, and a hostile image gets no more.</summary>
    private const long MaxBytes = 160L << 20;

    private readonly Dictionary<long, Page> _pages = [];
    private long _bytes;
    private long _lastIndex = -1;
    private Page? _last;

    /// <summary>The count of a cluster; 0 where nothing refers to it.</summary>
    public ulong this[HostCluster cluster]
    {
        get => Find(PageOf(cluster))?.Get(InPage(cluster)) ?? 0;
        set
        {
            var page = Find(PageOf(cluster)) ?? Add(PageOf(cluster));
            int before = page.Bytes;
            page.Set(InPage(cluster), value);
            Charge(page.Bytes - before);
        }
    }

    /// <summary>Adds a reference to a cluster, if the count stays a byte and at most <paramref name="limit"/>.</summary>
    /// <returns>False if nothing was added.</returns>
    public bool TryIncrement(HostCluster cluster, ulong limit)
    {
        var page = Find(PageOf(cluster)) ?? Add(PageOf(cluster));
        return page.TryIncrement(InPage(cluster), limit);
    }

    /// <summary>
    /// The counts from a cluster to the end of its page, one byte each; empty if the page is absent or has larger counts.
    /// </summary>
    public ReadOnlySpan<byte> NarrowCounts(HostCluster from)
        => Find(PageOf(from)) is { } page ? page.Narrow[Math.Min(page.Narrow.Length, InPage(from))..] : [];

    /// <summary>True when any cluster of the page that holds <paramref name="cluster"/> has been counted.</summary>
    public bool HasPage(HostCluster cluster) => Find(PageOf(cluster)) is not null;

    /// <summary>The last cluster of the page that holds <paramref name="cluster"/>.</summary>
    public static HostCluster PageEnd(HostCluster cluster) => new(cluster.Index | (PageClusters - 1));

    /// <summary>Numbers of the pages that exist, ascending.</summary>
    public List<long> PageIndexes()
    {
        List<long> indexes = [.. _pages.Keys];
        indexes.Sort();
        return indexes;
    }

    public void Clear()
    {
        _pages.Clear();
        _bytes = 0;
        _last = null;
        _lastIndex = -1;
    }

    private static long PageOf(HostCluster cluster) => cluster.Index / PageClusters;

    private static int InPage(HostCluster cluster) => (int)(cluster.Index % PageClusters);

    private Page? Find(long index)
    {
        if (index != _lastIndex && _pages.TryGetValue(index, out var page))
        {
            _last = page;
            _lastIndex = index;
        }

        return index == _lastIndex ? _last : null;
    }

    private Page Add(long index)
    {
        Charge(PageClusters + 128);
        var page = new Page();
        _pages.Add(index, page);
        _last = page;
        _lastIndex = index;
        return page;
    }

    private void Charge(long bytes)
    {
        _bytes += bytes;
        if (_bytes > MaxBytes)
        {
            throw new BlockException(
                BlockError.NoMemory, $"the image refers to more clusters than a check may count in {MaxBytes >> 20} MiB");
        }
    }

    private sealed class Page
    {
        private byte[]? _narrow = new byte[PageClusters];
        private ulong[]? _wide;

        public int Bytes => _wide is null ? PageClusters : PageClusters * sizeof(ulong);

        /// <summary>All counts, while each takes one byte; else empty.</summary>
        public ReadOnlySpan<byte> Narrow => _narrow;

        public bool TryIncrement(int at, ulong limit)
        {
            if (_narrow is null || _narrow[at] >= Math.Min(limit, byte.MaxValue))
            {
                return false;
            }

            _narrow[at]++;
            return true;
        }

        public ulong Get(int at) => _narrow is not null ? _narrow[at] : _wide![at];

        public void Set(int at, ulong value)
        {
            if (_narrow is not null && value <= byte.MaxValue)
            {
                _narrow[at] = (byte)value;
                return;
            }

            if (_narrow is not null)
            {
                _wide = Array.ConvertAll(_narrow, static b => (ulong)b);
                _narrow = null;
            }

            _wide![at] = value;
        }
    }
}
