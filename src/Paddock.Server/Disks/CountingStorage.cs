using Paddock.Block;
using Paddock.Serving;

namespace Paddock.Server.Disks;

/// <summary>A storage whose writes are counted: what an image writes for what its clients wrote.</summary>
/// <param name="storage">The storage; owned.</param>
/// <param name="counters">Counts writes, metadata included, and flushes when they start. Ranges that are made zero do not count.</param>
internal sealed class CountingStorage(IStorage storage, RequestCounters counters) : DelegatingStorage(storage), IDurableStorage
{
    private readonly IDurableStorage? _durable = storage as IDurableStorage;

    public long DurableBlock => _durable?.DurableBlock ?? 0;

    public bool IsSettled => _durable is { IsSettled: true };

    public ValueTask WriteDurablyAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        counters.Count(ServedOperation.Write, data.Length);
        return _durable!.WriteDurablyAsync(offset, data, cancellationToken);
    }

    public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
    {
        counters.Count(ServedOperation.Write, data.Length);
        return Inner.WriteAsync(offset, data, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        counters.Count(ServedOperation.Flush);
        return Inner.FlushAsync(cancellationToken);
    }
}
