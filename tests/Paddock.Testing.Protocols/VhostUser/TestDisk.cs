using Paddock.Block;

namespace Paddock.Testing.Protocols.VhostUser;

/// <summary>A disk in memory that writes down its writes, and can keep them waiting.</summary>
internal sealed class TestDisk(long size) : DelegatingDevice(MemoryDisk.Of(size))
{
    /// <summary>Where writes began, in their order.</summary>
    public List<long> Writes { get; } = [];

    /// <summary>How many there were.</summary>
    public int Count
    {
        get
        {
            lock (Writes)
            {
                return Writes.Count;
            }
        }
    }

    /// <summary>When set, writes wait for it.</summary>
    public TaskCompletionSource? Hold { get; set; }

    public override async ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        lock (Writes)
        {
            Writes.Add(offset);
        }

        if (Hold is { } hold)
        {
            await hold.Task;
        }

        await Inner.WriteAsync(offset, data, flags, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken = default) => default;
}
