using Paddock.Block;
using Paddock.Faults;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>Kinds of failure under a simulated image.</summary>
internal enum Trouble
{
    /// <summary>The file system fills up.</summary>
    Full,

    /// <summary>A flush fails; half of the time, data since the last successful flush may be lost, as with a kernel.</summary>
    FlushFails,
}

/// <summary>Simulated disk with injected failures, and power cuts on it at any moment.</summary>
internal sealed class TroubledDisk
{
    private readonly PowerCut _cut;
    private int _from;

    /// <param name="random">Source of all random choices.</param>
    /// <param name="trouble">Kind of failure.</param>
    /// <param name="start">Initial, durable contents.</param>
    /// <param name="size">Number of bytes writable by clients.</param>
    public TroubledDisk(Random random, Trouble trouble, PagedStorage start, long size)
    {
        IsSparse = random.Next(2) == 0;
        if (IsSparse)
        {
            Sparsify(start);
        }

        Storage = new CrashStorage(start, random.Next()) { DurableBlock = random.Next(2) == 0 ? 4 << 20 : 0 };
        if (trouble == Trouble.Full)
        {
            int pages = (int)(size / PagedStorage.PageSize) + 8;
            Storage.Capacity = start.AllocatedBytes + ((long)random.Next(pages) * PagedStorage.PageSize);
        }
        else
        {
            Storage.FailFlush = random.Next(1, 24);
            Storage.FlushFailureLoses = random.Next(2) == 0;
            Storage.FaultOneIn = random.Next(3) == 0 ? random.Next(8, 60) : 0;
            Storage.FaultsMayTakeEffect = true;
        }

        // in addition to the file system's own features: a drive's cache, or space that only writes allocate
        int kind = random.Next(6);
        IsCached = kind < 2;
        Storage.CanReserve = kind != 2;
        Top = IsCached ? new VolatileStorage(Storage, VolatileStorage.MinSize) : Storage;
        _cut = new PowerCut(Storage.Log);
    }

    /// <summary>The disk.</summary>
    public CrashStorage Storage { get; }

    /// <summary>Storage under the image: the disk, or a volatile cache in front of it.</summary>
    public IStorage Top { get; }

    /// <summary>Whether unflushed data may be in a volatile cache only.</summary>
    public bool IsCached { get; }

    /// <summary>Whether the image was copied with pages of zeroes, including tables, as holes.</summary>
    public bool IsSparse { get; }

    /// <summary>Whether nothing can become durable any longer.</summary>
    public bool IsLost
    {
        get
        {
            try
            {
                Storage.ThrowIfFlushFailed();
                return false;
            }
            catch (BlockException)
            {
                return true;
            }
        }
    }

    public override string ToString()
        => $"capacity {Storage.Capacity}, flush {Storage.FailFlush} fails{(Storage.FlushFailureLoses ? " and loses" : "")}, "
            + $"one fault in {Storage.FaultOneIn}{(IsSparse ? ", sparse" : "")}{(IsCached ? ", cached" : "")}"
            + (Storage.CanReserve ? "" : ", space by writing");

    /// <summary>Records the start of a request: later cuts are at this moment or after it.</summary>
    public void Begin() => _from = Storage.Log.Count;

    /// <summary>Returns the disk after power cuts at some moments since the request began.</summary>
    public IEnumerable<PagedStorage> CutSince(Random random, int most)
    {
        int now = Storage.Log.Count;
        var positions = Enumerable.Range(0, most).Select(_ => random.Next(_from, now + 1)).Order().ToArray();
        _from = now;
        foreach (int position in positions)
        {
            yield return _cut.At(position, random.Next());
        }
    }

    /// <summary>Returns the disk after a power cut at the current moment.</summary>
    public PagedStorage CutNow(Random random)
    {
        Begin();
        return _cut.At(_from, random.Next());
    }

    // as cp --sparse does
    private static void Sparsify(PagedStorage storage)
    {
        var page = new byte[PagedStorage.PageSize];
        for (long at = 0; at < storage.Length; at += page.Length)
        {
            storage.Read(at, page);
            if (!page.AsSpan().ContainsAnyExcept((byte)0))
            {
                storage.Discard(at, page.Length);
            }
        }
    }
}
