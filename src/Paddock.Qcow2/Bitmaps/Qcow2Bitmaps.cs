using System.Numerics;
using Paddock.Block;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Bitmaps;

/// <summary>What clients do with the bitmaps of an image, one action at a time. The texts are QEMU's.</summary>
internal sealed class Qcow2Bitmaps(IStorage storage, ImageHeader header, EngineLocks locks, WriteSession session, BitmapStore store)
    : IQcow2Bitmaps
{
    private const int SmallestDefault = 4096, LargestDefault = 65536;

    private readonly ClusterGeometry _geometry = header.Geometry;

    /// <inheritdoc/>
    public IReadOnlyList<Qcow2BitmapInfo> List => Array.ConvertAll(store.All, static b => b.Info);

    /// <inheritdoc/>
    public ValueTask AddAsync(string name, long granularity, CancellationToken cancellationToken)
    {
        Refuse(name.Length == 0, "Bitmap name cannot be empty");
        Refuse(
            granularity != 0 && (granularity is < 512 or > uint.MaxValue || !BitOperations.IsPow2(granularity)),
            "Granularity must be power of 2 and at least 512");
        long bytes = granularity != 0 ? granularity : Math.Clamp(_geometry.ClusterSize, SmallestDefault, LargestDefault);
        return ChangeAsync(
            () =>
            {
                CheckNew(name, BitOperations.Log2((ulong)bytes));
                store.Add(new PersistentBitmap(name, BitOperations.Log2((ulong)bytes), header.VirtualSize));
                return default;
            },
            cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask RemoveAsync(string name, CancellationToken cancellationToken)
        => ChangeAsync(() => store.RemoveAsync(Find(name)), cancellationToken);

    /// <inheritdoc/>
    public ValueTask ClearAsync(string name, CancellationToken cancellationToken)
        => ChangeAsync(async () => (await store.LoadAsync(FindUsable(name))).Clear(), cancellationToken);

    /// <inheritdoc/>
    public ValueTask SetEnabledAsync(string name, bool enabled, CancellationToken cancellationToken)
        => ChangeAsync(() => store.SetEnabledAsync(FindUsable(name), enabled), cancellationToken);

    /// <inheritdoc/>
    public ValueTask MergeAsync(string name, IDirtyBitmap source, CancellationToken cancellationToken)
        => ChangeAsync(
            async () =>
            {
                var bits = await store.LoadAsync(FindUsable(name));
                Refuse(
                    bits.Length != source.Length,
                    $"Bitmaps are of different sizes (destination size is {bits.Length}, source size is {source.Length}) "
                    + "and can't be merged");
                for (long offset = 0; offset < source.Length;)
                {
                    var run = source.Find(offset, source.Length - offset);
                    if (run.IsDirty)
                    {
                        bits.Set(offset, run.Length);
                    }

                    offset += run.Length;
                }
            },
            cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<IDirtyBitmap> OpenAsync(string name, CancellationToken cancellationToken)
    {
        await locks.Metadata.AcquireAsync();
        try
        {
            return new BitmapView(name, await store.LoadAsync(FindUsable(name)));
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IDirtyBitmap> TakeAsync(string name, CancellationToken cancellationToken)
    {
        DirtyBits? taken = null;
        await ChangeAsync(
            async () =>
            {
                var bitmap = FindUsable(name);
                var bits = await store.LoadAsync(bitmap);
                taken = new DirtyBits(bits.Length, bitmap.GranularityBits);
                bits.MoveTo(taken);
            },
            cancellationToken);
        return new BitmapView(name, taken!);
    }

    private static void Refuse(bool bad, string message)
    {
        if (bad)
        {
            throw new BlockException(BlockError.InvalidArgument, message);
        }
    }

    private async ValueTask ChangeAsync(Func<ValueTask> change, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        session.EnsureWritable();
        await session.StartAsync();
        await locks.Metadata.AcquireAsync();
        try
        {
            await change();
        }
        finally
        {
            locks.Metadata.Release();
        }
    }

    private PersistentBitmap Find(string name)
        => store.Find(name) ?? throw new BlockException(BlockError.NotFound, $"Dirty bitmap '{name}' not found");

    private PersistentBitmap FindUsable(string name)
    {
        var bitmap = Find(name);
        Refuse(bitmap.IsInconsistent, BitmapStore.InconsistentText(name));
        return bitmap;
    }

    private void CheckNew(string name, int granularityBits)
    {
        Refuse(store.Find(name) is not null, $"Bitmap already exists: {name}");
        string? reason = WhyNot(name, granularityBits);
        Refuse(reason is not null, $"Can't make bitmap '{name}' persistent in '{storage.Name}': {reason}");
    }

    private string? WhyNot(string name, int granularityBits)
    {
        if (!header.HasVersion3)
        {
            return "Cannot store dirty bitmaps in qcow2 v2 files";
        }

        if (granularityBits > Qcow2Limits.MaxBitmapGranularityBits)
        {
            return $"Granularity exceeds maximum ({1L << Qcow2Limits.MaxBitmapGranularityBits} bytes)";
        }

        if (store.WhyNotStored(header.VirtualSize, granularityBits) is { } reason)
        {
            return reason;
        }

        int nameBytes = ByteText.ToBytes(name).Length;
        if (nameBytes > Qcow2Limits.MaxBitmapNameBytes)
        {
            return $"Name length exceeds maximum ({Qcow2Limits.MaxBitmapNameBytes} characters)";
        }

        long directory = BitmapDirectory.SizeOf(nameBytes, 0)
            + store.All.Sum(static b => BitmapDirectory.SizeOf(ByteText.ToBytes(b.Name).Length, b.Extra.Length));
        return store.All.Length == Qcow2Limits.MaxBitmaps ? "Maximum number of persistent bitmaps is already reached"
            : directory > Qcow2Limits.MaxBitmapDirectoryBytes ? "Not enough space in the bitmap directory" : null;
    }
}
